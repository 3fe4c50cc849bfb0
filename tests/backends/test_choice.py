"""The choice of a backend: always one, always with its reason."""

from __future__ import annotations

import pytest
import torch

from recurra import Recurrent, cells
from recurra.backends import Backend, choice, choose
from recurra.backends.reference import Reference
from recurra.backends.said import SAID
from recurra.graph import Graph

CPU = torch.device("cpu")


class Picky(Reference):
    """A backend that refuses, and says why."""

    name = "picky"
    purpose = "runs what it likes"

    def refusal(
        self, graph: Graph, device: torch.device, dtype: torch.dtype, values: int | None = None
    ) -> str | None:
        return "float64 is too wide" if dtype == torch.float64 else None


@pytest.fixture
def _with_picky(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "BACKENDS", (Picky(), Reference()))


@pytest.mark.parametrize("name", cells.names())
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_cell_gets_a_backend_and_a_reason(name: str, dtype: torch.dtype) -> None:
    choice = choose(cells.get(name).graph, CPU, dtype)
    assert isinstance(choice.backend, Backend)
    assert name in choice.reason
    assert "cpu" in choice.reason
    assert str(dtype).removeprefix("torch.") in choice.reason
    assert str(choice).startswith(f"{choice.backend.name}: ")


def test_the_reference_refuses_nothing() -> None:
    graph = cells.get("lstm").graph
    assert Reference().refusal(graph, torch.device("meta"), torch.int8) is None


@pytest.mark.usefixtures("_with_picky")
def test_the_first_that_does_not_refuse_is_taken() -> None:
    choice = choose(cells.get("lstm").graph, CPU, torch.float32)
    assert choice.backend.name == "picky"
    assert choice.refused == ()


@pytest.mark.usefixtures("_with_picky")
def test_a_refusal_is_told() -> None:
    choice = choose(cells.get("lstm").graph, CPU, torch.float64)
    assert choice.backend.name == "reference"
    assert choice.refused == (("picky", "float64 is too wide"),)
    assert str(choice).endswith("; not picky: float64 is too wide")


def test_a_layer_tells_the_choice_first() -> None:
    layer = Recurrent("lstm", 2, 3)
    told, *_ = layer.explain().splitlines()
    assert told == str(layer.choice())
    assert "lstm on cpu in float32" in told


def test_a_step_down_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    SAID.clear()
    layer = Recurrent("gru", 2, 3)
    with caplog.at_level("INFO", logger="recurra"):
        for _ in range(3):
            layer(torch.randn(4, 5, 2))
    assert [r.getMessage() for r in caplog.records] == [
        "gru does not run on the backend cpu: a call of 60 values (T x B x H) is small; "
        "it pays from 8,192"
    ]
    assert layer.explain(4, 5).startswith("reference: ")
    assert "a call of 60 values" in layer.explain(4, 5)
    assert layer.explain(4096, 5).startswith("cpu: ")

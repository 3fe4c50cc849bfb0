"""Values that are shown beside the output, in fused kernels: as on the reference, gradients too."""

from __future__ import annotations

import pytest
import torch

from recurra import Recurrent, cells, record
from recurra.backends import choice
from recurra.backends.cpu import Cpu, memory
from recurra.backends.reference import Reference
from recurra.graph.facts import below
from support.checks import features
from support.rooms import nan_filled

SIZES = {"lstm_projection": {"P": 5}}
FUSED = [
    name
    for name in cells.names()
    if Cpu().refusal(cells.get(name).graph, torch.device("cpu"), torch.float32) is None
]


def made(name: str, h: int = 13, **options) -> Recurrent:
    torch.manual_seed(1)
    return Recurrent(
        name, features(name, 4, h), h, sizes=SIZES.get(name), dtype=torch.float64, **options
    )


def call(layer: Recurrent, steps: int = 5, rows: int = 6) -> dict:
    torch.manual_seed(2)
    graph, handed = layer.graph, below(layer.graph)
    extra = {
        str(leaf.attribute): torch.rand(
            steps, rows, layer.sizes["H"] if graph.shape(leaf) else 1, dtype=torch.float64
        )
        for leaf in graph.inputs
        if leaf.attribute not in ("x", "t") and leaf not in handed
    }
    x = torch.randn(steps, rows, layer.input_size, dtype=torch.float64)
    return {"x": x, **({"inputs": extra} if extra else {})}


def results(backend, layer, monkeypatch, call, names=None) -> dict[str, torch.Tensor]:
    """What is recorded, and the gradients of a weighted sum of all of it."""
    monkeypatch.setattr(choice, "BACKENDS", (backend,))
    call["x"] = call["x"].clone().requires_grad_()
    recording = record(layer, call, names)
    torch.manual_seed(3)
    total = sum((value * torch.randn_like(value)).sum() for value in recording.values.values())
    named = dict(layer.named_parameters()) | {"x": call["x"]}
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    gradients = {f"d_{k}": g for k, g in zip(named, found, strict=True) if g is not None}
    return dict(recording.values) | gradients


def assert_same(layer, monkeypatch, call, names=None) -> None:
    fused = results(Cpu(least=0), layer, monkeypatch, dict(call), names)
    plain = results(Reference(), layer, monkeypatch, dict(call), names)
    assert list(fused) == list(plain)
    for name in fused:
        torch.testing.assert_close(
            fused[name], plain[name], rtol=1e-10, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("name", FUSED)
def test_every_cell(name, monkeypatch):
    """Memory handed to kernels is NaN: any read before a write would show."""
    monkeypatch.setattr(memory, "empty", nan_filled)
    layer = made(name)
    assert_same(layer, monkeypatch, call(layer))


@pytest.mark.parametrize(
    "name", ["lstm", "gru", "clockwork", "lstm_phased", "mut1", "qrnn", "lstm_nested"]
)
def test_rows_that_end(name, monkeypatch):
    layer = made(name, bidirectional=True)
    given = call(layer) | {"lengths": torch.tensor([3, 5, 0, 1, 5, 2])}
    assert_same(layer, monkeypatch, given)


@pytest.mark.parametrize("names", [["f"], ["c"], ["h", "f_pre"], ["*.0.*.c", "*.1.*.i"]], ids=str)
def test_some_of_the_values(names, monkeypatch):
    layer = made("lstm", num_layers=2, learn_initial_state=True)
    assert_same(layer, monkeypatch, call(layer), names)


@pytest.mark.parametrize("every", [1, 2])
def test_in_pieces(every, monkeypatch):
    layer = made("lstm", checkpoint_every=every)
    assert_same(layer, monkeypatch, call(layer))


def test_second_derivatives(monkeypatch):
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=0),))
    layer = made("lstm", 3)
    x = call(layer, 3, 2)["x"].requires_grad_()
    names = ["rnn.0.forward.f_pre", "rnn.0.forward.c", "rnn.0.forward.i"]

    def seen(x):
        recording = record(layer, x, names)
        return tuple(recording[name] for name in names)

    assert torch.autograd.gradcheck(seen, x)
    assert torch.autograd.gradgradcheck(seen, x)

"""Matrices and scalars that change in each step, in fused kernels, against the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import recurra
from recurra import Recurrent, cells
from recurra.backends.backend import Backend
from recurra.backends.cpu import Cpu, chunks
from recurra.backends.reference import Reference
from recurra.graph import Cell
from support.fused import assert_same, everything, fused_on, layer_of, running_on
from support.matrix_cells import OWN, WITHOUT_FEEDBACK, fading_by_itself, sizes_of
from support.rooms import nan_filled

CELLS = (*OWN, *WITHOUT_FEEDBACK, fading_by_itself, cells.get("mlstm"))
every = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
SHAPES = [(1, 1, 1, 1), (3, 2, 17, 5), (5, 3, 33, 63), (2, 2, 150, 140)]  # T, B, H, P
OPTIONS: list[dict[str, Any]] = [
    {"bidirectional": True, "num_layers": 2},
    {"recurrent_dropout": 0.5},
    {"zoneout": 0.5},
    {"bias": False},
]


@pytest.fixture(autouse=True)
def _step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "LEAST", 10**9)


def layer_with(cell: Cell, h: int, p: int, dtype: torch.dtype, **options: Any) -> Recurrent:
    sizes = {"sizes": found} if (found := sizes_of(cell, p)) else {}
    layer = layer_of(cell, 4, h, dtype, **sizes, **options)
    for name in layer.weight_names:
        layer.set_weight(name, 0.4 * torch.randn_like(layer.weight(name)))
    return layer


def drawn_alike(layer: Recurrent, x: Tensor, backend: Backend, **call: Any) -> dict[str, Tensor]:
    """`everything`, with the same masks each time."""
    torch.manual_seed(3)
    with running_on(backend):
        return everything(layer, x, **call)


@every
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_ugly_sizes(cell: Cell, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    t, b, h, p = shape
    layer, x = layer_with(cell, h, p, torch.float64), torch.randn(t, b, 4, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recurra.backends.cpu.memory.empty", nan_filled)
        assert_same(layer, x)
    assert_same(layer, x, lengths=torch.tensor([t] + [1] * (b - 1)))


@every
def test_float32(cell: Cell) -> None:
    layer = layer_with(cell, 5, 6, torch.float32)
    assert_same(layer, 0.5 * torch.randn(4, 3, 4))


@pytest.mark.parametrize("cell", [*OWN[:3], CELLS[-1]], ids=lambda cell: cell.name)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options_lengths_and_resets(cell: Cell, options: dict[str, Any]) -> None:
    layer = layer_with(cell, 7, 6, torch.float64, **options)
    x = torch.randn(4, 5, 4, dtype=torch.float64)
    reset = torch.zeros(4, 5, dtype=torch.bool)
    reset[2, 1] = reset[3, 4] = True
    lengths = torch.tensor([4, 3, 0, 1, 4])
    for call in ({}, {"reset": reset}, {"lengths": lengths}, {"lengths": lengths, "reset": reset}):
        for training in (True, False):
            layer.train(training)
            mine, other = (drawn_alike(layer, x, one, **call) for one in (Cpu(1), Reference()))
            for name, value in mine.items():
                torch.testing.assert_close(value, other[name], rtol=1e-10, atol=1e-10)


@every
def test_threads_change_no_bit(cell: Cell) -> None:
    layer = layer_with(cell, 70, 33, torch.float32)
    for rows in (1, 9):
        one, two = fused_on((1, 2), layer, torch.randn(5, rows, 4))
        assert all(torch.equal(value, two[name]) for name, value in one.items())


@every
def test_a_stream(cell: Cell) -> None:
    layer = layer_with(cell, 19, 6, torch.float64, num_layers=2, zoneout=0.3).eval()
    x = torch.randn(5, 2, 4, dtype=torch.float64)
    with torch.no_grad(), running_on(Reference()):
        whole, last = layer(x)
    with torch.no_grad(), running_on(Cpu(least=0)):
        stream = layer.stream(2)
        for now, expected in zip(x, whole, strict=True):
            torch.testing.assert_close(stream.step(now), expected, rtol=1e-10, atol=1e-10)
        assert stream.choice.backend.name == "cpu"
        for ours, theirs in zip(stream.state, last, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cell", [OWN[0], CELLS[-1]], ids=lambda cell: cell.name)
def test_second_derivatives(cell: Cell) -> None:
    layer = layer_with(cell, 3, 2, torch.float64)
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    with running_on(Cpu(least=0)):
        assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], x, atol=1e-5)


@pytest.mark.parametrize("cell", [OWN[0], CELLS[-1]], ids=lambda cell: cell.name)
def test_compiled_and_exported(cell: Cell) -> None:
    layer = layer_with(cell, 5, 6, torch.float64)
    x = torch.randn(4, 3, 4, dtype=torch.float64, requires_grad=True)
    torch._dynamo.reset()
    with running_on(Cpu(least=0)):
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        for found, expected in zip(compiled(x)[1], layer(x)[1], strict=True):
            torch.testing.assert_close(found, expected)
        found, expected = (torch.autograd.grad(f(x)[0].sum(), x) for f in (compiled, layer))
        torch.testing.assert_close(found, expected)
        exported = torch.export.export(layer, (x.detach(),)).module()
        torch.testing.assert_close(exported(x)[0], layer(x)[0])


def test_what_is_shown_may_be_a_matrix() -> None:
    layer = layer_with(OWN[0], 5, 6, torch.float64)
    x = torch.randn(4, 3, 4, dtype=torch.float64)
    found = {}
    for backend in (Cpu(1), Reference()):
        with running_on(backend), torch.no_grad():
            (found[backend.name],) = recurra.record(layer, x, "F").values.values()
    assert found["cpu"].shape == (4, 3, 5, 6)
    torch.testing.assert_close(found["cpu"], found["reference"])

"""Memories in chunks: against the step-by-step reference, torch's own products, and themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

import recurra
from recurra import Recurrent, cells
from recurra.backends.cpu import Cpu, chunks
from recurra.backends.cpu.products import RowSteps
from recurra.backends.reference import Reference, masked
from recurra.graph import Cell
from recurra.graph.chunkwise import chunkwise
from recurra.graph.rewrite import with_reset, with_zoneout
from support.fused import everything, fused_on, layer_of, running_on
from support.matrix_cells import (
    OWN,
    WITHOUT_FEEDBACK,
    chained,
    fading_by_itself,
    parallel_mlstm,
    sizes_of,
)

MLSTM = cells.get("mlstm")
CELLS = (MLSTM, *WITHOUT_FEEDBACK, chained)
every = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
OPTIONS: list[dict[str, Any]] = [
    {},
    {"bidirectional": True, "num_layers": 2},
    {"recurrent_dropout": 0.5},
    {"learn_initial_state": True},
    {"bias": False},
]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps of all chunks that run."""
    steps: list[int] = []
    original = chunks._one_chunk
    monkeypatch.setattr(chunks, "_one_chunk", lambda *a: steps.append(a[2].steps) or original(*a))
    return steps


def layer_with(cell: Cell, h: int = 7, p: int = 6, **options: Any) -> Recurrent:
    sizes = {"sizes": found} if (found := sizes_of(cell, p)) else {}
    layer = layer_of(cell, 4, h, **({"dtype": torch.float64} | sizes | options))
    for name in layer.weight_names:
        layer.set_weight(name, 0.4 * torch.randn_like(layer.weight(name)))
    return layer


def both(layer: Recurrent, x: Tensor, **call: Any) -> tuple[dict[str, Tensor], ...]:
    """`everything` in chunks and by the reference, with the same masks."""
    found = []
    for backend in (Cpu(least=0), Reference()):
        torch.manual_seed(3)
        with running_on(backend):
            found.append(everything(layer, x, **call))
    return tuple(found)


def assert_close(mine: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert list(mine) == list(other)
    for name, value in mine.items():
        torch.testing.assert_close(value, other[name], rtol=1e-9, atol=1e-9, msg=name)


def test_which_steps_have_the_form() -> None:
    for fed_back in (OWN[0], fading_by_itself):
        assert chunkwise(fed_back.graph) is None
    for cell in CELLS:
        assert chunkwise(cell.graph) is not None
        assert chunkwise(masked(cell.graph)) is not None
        memories = [s.attribute for s in cell.graph.states if len(cell.graph.shape(s)) == 2]
        assert chunkwise(with_zoneout(cell.graph, memories)) is None
        assert chunkwise(with_reset(cell.graph)) is None
    assert {name for name in cells.names() if chunkwise(cells.get(name).graph)} == {"mlstm"}


@every
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("chunk", [128, 5])
def test_equals_the_reference(
    cell: Cell,
    options: dict[str, Any],
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
    taken: list[int],
) -> None:
    """From any state, with all gradients; in one chunk and in several."""
    monkeypatch.setattr(chunks, "CHUNK", chunk)
    layer, x = layer_with(cell, **options), torch.randn(12, 4, 4, dtype=torch.float64)
    if layer.learn_initial_state:
        output = []
        for backend in (Cpu(least=0), Reference()):
            with running_on(backend):
                total = layer(x)[0].square().sum()
            output.append([total, *torch.autograd.grad(total, list(layer.parameters()))])
        torch.testing.assert_close(*output, rtol=1e-9, atol=1e-9)
    else:
        assert_close(*both(layer, x))
        assert_close(*both(layer, x, lengths=torch.tensor([9, 12, 0, 1])))
    assert set(taken) == ({12} if chunk == 128 else {4})


@every
def test_from_zero(cell: Cell, taken: list[int]) -> None:
    """The zero with which layers start is not multiplied."""
    layer, x = layer_with(cell), torch.randn(9, 4, 4, dtype=torch.float64)
    found = []
    for backend in (Cpu(least=0), Reference()):
        x.requires_grad_()
        with running_on(backend):
            output, last = layer(x)
        total = output.square().sum() + sum(part.sin().sum() for part in last)
        found.append([output, *last, *torch.autograd.grad(total, [x, *layer.parameters()])])
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)
    assert set(taken) == {9}


def test_the_memory_is_attention_over_what_was_written(taken: list[int]) -> None:
    """The mLSTM against the parallel form in the appendix of its paper, from zero, in float32."""
    torch.manual_seed(0)
    steps, rows, width = 40, 3, 24
    layer = Recurrent("mlstm", 5, width)
    for name in layer.weight_names:
        layer.set_weight(name, 0.5 * torch.randn_like(layer.weight(name)))
    x = torch.randn(steps, rows, 5, dtype=torch.float64)
    expected = parallel_mlstm(layer, x)
    with running_on(Cpu(least=0)), torch.no_grad():
        output, _ = layer(x.float())
    torch.testing.assert_close(output.double(), expected, rtol=2e-4, atol=2e-5)
    assert taken == [steps]


@every
def test_threads_change_no_bit(cell: Cell) -> None:
    layer = layer_with(cell, 70, 33, dtype=torch.float32)
    for steps, rows in ((20, 1), (20, 5), (9, 1)):
        one, two = fused_on((1, 2), layer, torch.randn(steps, rows, 4))
        assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_a_trace_asks_for_no_value(taken: list[int]) -> None:
    layer = layer_with(MLSTM)
    x, other = torch.randn(2, 9, 2, 4, dtype=torch.float64)
    with running_on(Cpu(least=0)), torch.no_grad():
        traced = make_fx(lambda x: layer(x)[0])(x)
        assert not taken
        torch.testing.assert_close(traced(other), layer(other)[0])


@every
def test_second_derivatives(cell: Cell) -> None:
    layer = layer_with(cell, 3, 2)
    x = torch.randn(8, 2, 4, dtype=torch.float64, requires_grad=True)
    with running_on(Cpu(least=0)):
        assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], x, atol=1e-5)


def test_many_gradients_at_once() -> None:
    layer = layer_with(MLSTM, 3)
    x = torch.randn(9, 2, 4, dtype=torch.float64, requires_grad=True)
    with running_on(Cpu(least=0)):
        output = layer(x)[0].sum((1, 2))
    whole = torch.eye(9, dtype=torch.float64)
    (found,) = torch.autograd.grad(output, x, whole, is_grads_batched=True, retain_graph=True)
    for one, direction in zip(found, whole, strict=True):
        (expected,) = torch.autograd.grad(output, x, direction, retain_graph=True)
        torch.testing.assert_close(one, expected)


def test_who_looks_at_the_memory_sees_it_and_changes_no_bit() -> None:
    layer = layer_with(MLSTM, 7)
    x = torch.randn(12, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        with running_on(Cpu(least=0)):
            output, _ = layer(x)
            recording = recurra.record(layer, x, ["C", "h", "q"])
        with running_on(Reference()):
            expected = recurra.record(layer, x, ["C", "h", "q"])
    assert torch.equal(recording.output[0], output)
    pairs = zip(recording.values.items(), expected.values.values(), strict=True)
    for (name, value), other in pairs:
        torch.testing.assert_close(value, other, rtol=1e-9, atol=1e-9, msg=name)


@pytest.mark.parametrize(("name", "value"), [("f", 0.0), ("m", 0.5), ("C", 0.25), ("v", 1.0)])
def test_a_value_that_is_held(name: str, value: float) -> None:
    layer, x = layer_with(MLSTM), torch.randn(12, 3, 4, dtype=torch.float64)
    found = []
    for backend in (Cpu(least=0), Reference()):
        for steps in (None, [2, 5]):
            with running_on(backend), torch.no_grad(), recurra.edit(layer, {name: value}, steps):
                recording = recurra.record(layer, x)
            found.append([recording.output[0], *recording.values.values()])
    for mine, other in ((found[0], found[2]), (found[1], found[3])):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


def test_no_step_of_the_memory_is_kept() -> None:
    """T memories of (B, H, H) would take more than all else together."""
    layer = Recurrent("mlstm", 8, 128)
    x = torch.randn(64, 4, 8)
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.untyped_storage().nbytes()
        return tensor

    with running_on(Cpu(least=0)), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        layer(x)
    assert 0 < kept < 4 * 64 * 4 * 128 * 128


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf], ids=str)
def test_what_is_not_finite_reaches_no_step_before(value: float) -> None:
    layer, x = layer_with(MLSTM), torch.randn(12, 3, 4, dtype=torch.float64)
    x[7, 1, 2] = value
    with torch.no_grad():
        with running_on(Cpu(least=0)):
            output, last = layer(x)
        with running_on(Reference()):
            expected, other = layer(x)
    assert not expected.isfinite().all()
    assert expected[:7].isfinite().all()
    torch.testing.assert_close(output, expected, rtol=1e-9, atol=1e-9, equal_nan=True)
    for mine, theirs in zip(last, other, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-9, equal_nan=True)


# Steps of rows


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (3, 17, 2), (50, 30, 49), (8, 65, 96)])
def test_products_of_rows_are_torchs(dtype: torch.dtype, m: int, k: int, n: int) -> None:
    torch.manual_seed(0)
    sequence = torch.randn(m, 5, k, dtype=dtype)
    left, right = sequence.transpose(0, 1), torch.randn(5, k, n, dtype=dtype)
    mirrored, factors = torch.randn(5, k, m, dtype=dtype).mT, torch.randn(5, m, 1, dtype=dtype)
    result, faded, again = (torch.full((5, m, n), torch.nan, dtype=dtype) for _ in range(3))
    steps = RowSteps(left)
    steps.product(left, right, result)
    steps.product(mirrored, right, result, begun=True)
    steps.times(result, factors, faded)
    steps.times(faded, result, again)
    steps.run()
    expected = (left.double() + mirrored.double()) @ right.double()
    limit = 1e-5 if dtype is torch.float32 else 1e-13
    torch.testing.assert_close(result.double(), expected, rtol=limit, atol=limit * k)
    assert torch.equal(faded, result * factors)
    assert torch.equal(again, faded * result)

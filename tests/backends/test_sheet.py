"""Sheets: the parts of a call in their order, rows that are copied, products side by side."""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra import Recurrent
from recurra.backends.cpu import Cpu, parts, threads
from recurra.backends.cpu.product import add_product, add_weight_gradients
from recurra.backends.cpu.program import drawn_in, normal
from recurra.backends.cpu.sheet import GIVEN, Sheet, Span
from recurra.graph import cell, sigmoid, tanh
from support.fused import assert_same, fused, layer_of, running_on


def spans(*tensors: Tensor) -> list[Span]:
    return [Span.of(GIVEN + k, t.shape, t.stride()) for k, t in enumerate(tensors)]


def run(sheet: Sheet, *tensors: Tensor) -> None:
    sheet.close()
    work = [torch.full((-(-size // 8),), float("nan"), dtype=torch.float64) for size in sheet.work]
    sheet.run([tensor.data_ptr() for tensor in (*tensors, *work)])


@pytest.mark.parametrize("which", [None, [4, 0, 4]])
def test_rows_are_copied(which):
    source = torch.randn(5, 7)[:, 1:5]
    to = torch.zeros(5 if which is None else len(which), 6)[:, :4]
    numbers = np.array(which if which is not None else [], np.int64)
    sheet = Sheet(4, 2)
    a, b = spans(to, source)
    sheet.copy(a, b, numbers.ctypes.data if which is not None else 0)
    run(sheet, to, source)
    assert torch.equal(to, source if which is None else source[which])


def test_no_rows_are_no_part():
    sheet = Sheet(4, 2)
    sheet.copy(*spans(torch.empty(0, 3), torch.empty(0, 3)))
    assert sheet.parts == []


@pytest.mark.parametrize("count", [1, 3])
def test_each_base_has_an_address(count):
    sheet = Sheet(4, 2)
    sheet.copy(*spans(torch.empty(2, 3), torch.empty(2, 3)))
    sheet.close()
    with pytest.raises(ValueError, match=f"got {count} addresses; it has 2 bases"):
        sheet.filled([64] * count)


@pytest.mark.parametrize("team", [1, 2, 3, 5])
def test_each_part_begins_when_the_one_before_is_over(team):
    """Rows wander through a row of tensors; each copy reads what the one before has written."""
    stations = [torch.randn(64, 40), *(torch.zeros(64, 40) for _ in range(30))]
    sheet = Sheet(4, len(stations))
    own = spans(*stations)
    for before, after in pairwise(own):
        sheet.copy(after, before)
    sheet.parts = [
        (does, share, table, 1 + k % 4) for k, (does, share, table, _) in enumerate(sheet.parts)
    ]
    sheet.close()
    filled = sheet.filled([station.data_ptr() for station in stations])
    share = threads._callable(parts.in_turn())
    for _ in range(20):
        for station in stations[1:]:
            station.zero_()
        with ThreadPoolExecutor(team) as pool:
            list(pool.map(lambda k: share(ctypes.addressof(filled), k, team), range(team)))
        assert torch.equal(stations[-1], stations[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("n", "a", "sizes"), [(5, 3, (2, 7)), (900, 130, (65, 17)), (33, 64, (64,))]
)
def test_two_values_meet_the_same_gradients(n, a, sizes, dtype):
    d, values = (
        torch.randn(n, a + 2, dtype=dtype)[:, 1 : a + 1],
        [torch.randn(n, size, dtype=dtype) for size in sizes],
    )
    results = [torch.full((a, size), float("nan"), dtype=dtype) for size in sizes]
    sums = torch.full((a,), float("nan"), dtype=dtype)
    tensors = [d, sums, *values, *results]
    own = spans(*tensors)
    sheet = Sheet(dtype.itemsize, len(tensors))
    sides = list(zip(own[2 + len(sizes) :], own[2 : 2 + len(sizes)], strict=True))
    add_weight_gradients(sheet, own[0], sides, own[1])
    run(sheet, *tensors)
    exact = dict(rtol=1e-4, atol=1e-4) if dtype is torch.float32 else dict(rtol=1e-11, atol=1e-11)
    for result, value in zip(results, values, strict=True):
        torch.testing.assert_close(result, d.t() @ value, **exact)
    torch.testing.assert_close(sums, d.sum(0), **exact)


@pytest.mark.parametrize("rows", [1, 2, 31, 33, 128, 129, 300])
def test_every_number_of_rows_of_a_left_side(rows):
    """Tiles are packed many, some or one at a time, and the last may lack rows."""
    d, x, sums = torch.randn(1000, rows), torch.randn(1000, 5), torch.full((rows,), float("nan"))
    result = torch.full((rows, 5), float("nan"))
    sheet = Sheet(4, 4)
    own = spans(d, sums, x, result)
    add_weight_gradients(sheet, own[0], [(own[3], own[2])], own[1])
    run(sheet, d, sums, x, result)
    torch.testing.assert_close(result, d.t() @ x, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(sums, d.sum(0), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rows", [1, 32, 33, 1500])
@pytest.mark.parametrize("columns", [1, 16, 63, 300])
def test_sums_over_rows(rows, columns, dtype):
    source = torch.randn(rows, columns + 5, dtype=dtype)[:, 2 : columns + 2]
    around = torch.full((columns + 2,), 7.0, dtype=dtype)
    sheet = Sheet(dtype.itemsize, 2)
    to, read = spans(around[1:-1], source)
    sheet.sum_rows(to, read)
    run(sheet, around[1:-1], source)
    tolerance = 1e-5 if dtype is torch.float32 else 1e-13
    torch.testing.assert_close(
        around[1:-1].double(), source.double().sum(0), rtol=tolerance, atol=30 * tolerance
    )
    assert around[0] == around[-1] == 7.0


def test_sums_lose_little():
    """A million equal numbers: summed one after another, the last thousands would be lost."""
    source, to = torch.full((2**20, 1), 0.1), torch.empty(1)
    sheet = Sheet(4, 2)
    sheet.sum_rows(*spans(to, source))
    run(sheet, to, source)
    assert abs(to.item() / (0.1 * 2**20) - 1) < 1e-4


def test_a_product_is_added_to_what_is_there():
    left, right = torch.randn(13, 900), torch.randn(900, 70)
    result = torch.randn(13, 70)
    expected = result + left @ right
    sheet = Sheet(4, 3)
    a, b, c = spans(result, left, right)
    add_product(sheet, a, b, c, begun=True)
    run(sheet, result, left, right)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)


def test_rows_that_are_not_equally_far_apart_are_refused():
    with pytest.raises(ValueError, match="steps are 21 numbers apart, which is not 2 rows of 7"):
        Span.of(GIVEN, (3, 2, 7), (21, 7, 1)).flat()


@cell(state="h")
def drawing(p, x, h):
    z = sigmoid(p.W_z @ x + p.b_z)
    m = tanh(p.W_m @ x)
    k = sigmoid(p.W_k @ m)
    h = z * tanh(p.U @ h + m) + k * h
    return h


def test_functions_of_x_are_drawn_in_where_no_product_needs_them():
    graph = normal(drawing.graph)
    names = {graph.names[node] for node in drawn_in(graph) if node in graph.names}
    assert names == {"z", "k"}  # W_k reads m, before the loop
    assert_same(layer_of(drawing, 5, 18, torch.float64), torch.randn(4, 3, 5, dtype=torch.float64))


@cell(state="h, k", shapes={"k": "P"})
def of_two_sizes(p, x, h, k):
    h = tanh(p.W_h @ x + p.U_h @ h)
    g = sigmoid(p.W_k @ x + p.U_k @ k + p.b_k)
    k = g * k + (1 - g) * tanh(p.V_k @ x)
    return h, k


def test_what_is_kept_in_place_has_its_own_size():
    """Reads of one size are not met where values of the other are computed."""
    layer = layer_of(of_two_sizes, 5, 18, torch.float64, sizes={"P": 300})
    assert_same(layer, torch.randn(4, 3, 5, dtype=torch.float64))


@cell(state="h", shapes={"y": "H"})
def with_two_biases(p, x, y, h):
    a = (p.W @ x + p.b) + (p.V @ y + p.c) + p.U @ h
    h = tanh(a)
    return h


def test_two_biases_of_one_sum():
    layer, x = layer_of(with_two_biases, 5, 18, torch.float64), torch.randn(4, 3, 5).double()
    assert_same(layer, x, inputs={"y": torch.randn(4, 3, 18).double()})


@pytest.mark.parametrize("name", ["lstm", "gru", "mut3", "qrnn"])
def test_the_backward_direction_may_run_twice(name):
    """It changes nothing of what the forward direction has kept, here in the place of products."""
    layer: Recurrent = layer_of(name, 18, 18, torch.float64)
    x = torch.randn(4, 3, 18, dtype=torch.float64, requires_grad=True)
    with running_on(Cpu(least=0)):
        total = layer(x)[0].square().sum()
        first = torch.autograd.grad(total, [x, *layer.parameters()], retain_graph=True)
        fused(layer, x)  # another call uses the work memory
        second = torch.autograd.grad(total, [x, *layer.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))

"""Tensors that are blocks of rows of others: against PyTorch's own operators and gradients."""

from __future__ import annotations

import pytest
import torch

from recurra.backends.cpu.row_blocks import Block, RowBlocks

SIZES = (6, 4, 2)
CASES = {
    "as they are": [[(Block(0, 0, 6),)], [(Block(1, 0, 4),)], [(Block(2, 0, 2),)]],
    "parts": [[(Block(0, 0, 2),)], [(Block(0, 2, 4),)], [(Block(1, 1, 3),)]],
    "in another order": [[(Block(0, 4, 2),), (Block(0, 0, 4),)]],
    "side by side": [[(Block(0, 0, 3),), (Block(0, 3, 3),), (Block(1, 0, 1),)]],
    "sums": [[(Block(0, 0, 4), Block(1, 0, 4)), (Block(0, 4, 2),)], [(Block(2, 0, 2),)]],
    "read twice": [[(Block(0, 0, 4),)], [(Block(0, 2, 4), Block(1, 0, 4))]],
    "torch's GRU": [[(Block(0, 0, 4), Block(1, 0, 4)), (Block(0, 4, 2),)], [(Block(1, 2, 2),)]],
}


def by_pytorch(inputs, tensors):
    return [
        torch.cat([sum(inputs[n].narrow(0, first, rows) for n, first, rows in m) for m in members])
        for members in tensors
    ]


@pytest.mark.parametrize("name", CASES)
def test_tensors_and_gradients(name):
    blocks = RowBlocks(SIZES, CASES[name])
    inputs = [torch.randn(size, 3, dtype=torch.float64, requires_grad=True) for size in SIZES]
    expected = by_pytorch(inputs, CASES[name])
    with torch.no_grad():
        found = blocks.tensors(inputs)
    assert all(map(torch.equal, found, expected))
    d = [torch.randn_like(tensor) for tensor in expected]
    exact = torch.autograd.grad(expected, inputs, d, allow_unused=True)
    for mine, other in zip(blocks.gradients(d, [True] * len(SIZES)), exact, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None:
            torch.testing.assert_close(mine, other, rtol=1e-14, atol=0)


def test_an_input_that_is_a_tensor_is_not_copied():
    blocks, inputs = RowBlocks((4,), [[(Block(0, 0, 2),), (Block(0, 2, 2),)]]), [torch.randn(4, 3)]
    assert blocks.whole == [0]
    assert blocks.tensors(inputs)[0] is inputs[0]
    d = torch.randn(4, 3)
    assert blocks.gradients([d], [True])[0] is d


def test_what_nobody_asks_for_is_not_computed():
    blocks = RowBlocks(SIZES, CASES["torch's GRU"])
    assert blocks.wanted([True, False, False]) == [True, False]
    assert blocks.wanted([False, True, False]) == [True, True]
    assert blocks.wanted([False, False, True]) == [False, False]
    d = [torch.randn(6, 3), None]
    first, second, third = blocks.gradients(d, [True, True, False])
    assert torch.equal(first, d[0])
    assert torch.equal(second, torch.cat([d[0][:4]]))
    assert third is None


def test_rows_without_a_gradient_have_a_zero():
    blocks = RowBlocks((6,), [[(Block(0, 0, 2),)], [(Block(0, 4, 2),)]])
    d = torch.randn(2, 3)
    (found,) = blocks.gradients([None, d], [True])
    assert torch.equal(found, torch.cat([torch.zeros(4, 3), d]))
    assert blocks.gradients([None, None], [True]) == [None]

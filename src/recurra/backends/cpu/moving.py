"""Gradients of weights from the steps alone in which their units move.

Units of one module move together, so that each module has one product, over its own steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from recurra.backends.cpu.clocks import Clock
from recurra.backends.cpu.product import weight_gradient

_WORTH = 2**26  # multiplications from which leaving some out pays for copying the others' operands
_MODULE = 16  # units that a module has at least, on average


def moves_of(clocks: Sequence[tuple[Clock, Tensor] | None], size: int) -> Tensor | None:
    """Where gradients side by side may differ from 0: (T or 1, B or 1, A); None if all may.

    Args:
        clocks: for each gradient its clock and the marks of it, (T or 1, B or 1, size).
        size: units of each gradient.
    """
    known = [own for own in clocks if own is not None]
    if not known:
        return None
    always = torch.ones(1, 1, size, dtype=torch.bool)
    moves = [
        always if own is None else own[1] == 0 if own[0].rests == 1 else own[1] != 0
        for own in clocks
    ]
    steps, rows = (max(part.shape[k] for part in moves) for k in (0, 1))
    return torch.cat([part.expand(steps, rows, size) for part in moves], -1)


def moving_gradient(d: Tensor, x: Tensor, moves: Tensor | None) -> Tensor:
    """The gradient (A, K) of a weight, from d (T, B, A) of its product and its operand x (T, B, K).

    Args:
        d: 0 where nothing moves.
        x: the operand.
        moves: see `moves_of`.
    """
    left, right = d.flatten(0, 1), x.flatten(0, 1)
    if moves is None or left.shape[1] * right.numel() < _WORTH:
        return weight_gradient(left, right)
    beats = moves.expand(d.shape[0], moves.shape[1], -1).flatten(0, 1)
    modules = _modules(beats)
    if len(modules) * _MODULE > left.shape[1]:
        return weight_gradient(left, right)
    runs = len(beats), len(left) // len(beats)  # one mark may stand for a run of rows
    left, right = left.unflatten(0, runs), right.unflatten(0, runs)
    result = left.new_empty(left.shape[-1], right.shape[-1])
    for module in modules:
        there = beats[:, module.start].nonzero().flatten()
        mine, other = left[..., module], right
        if len(there) < len(beats):
            mine, other = mine.index_select(0, there), right.index_select(0, there)
        result[module] = weight_gradient(mine.flatten(0, 1), other.flatten(0, 1))
    return result


def _modules(beats: Tensor) -> list[slice]:
    """Neighbouring units that always move together, from (steps, units)."""
    borders = (beats[:, 1:] != beats[:, :-1]).any(0).nonzero().flatten() + 1
    return [slice(a, b) for a, b in pairwise((0, *borders.tolist(), beats.shape[1]))]

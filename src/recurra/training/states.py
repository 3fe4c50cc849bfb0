"""The recurrent state between chunks: nothing, a tensor, or a tuple of states."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from recurra.tasks.base import State

ROWS = 1  # the dimension of the batch in (layers, B, H), as in torch


def over(function: Callable[[Tensor], Tensor], state: State) -> State:
    """The state with every tensor in it replaced by `function` of it."""
    if state is None:
        return None
    if isinstance(state, tuple):
        return tuple(over(function, part) for part in state)
    return function(state)


def detached(state: State) -> State:
    """The same values; no gradient goes back through them."""
    return over(lambda tensor: tensor.detach(), state)

"""The state of a layer: a tensor, or a tuple of tensors for a cell with several states."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

State = Tensor | tuple[Tensor, ...]


def each(state: State, change: Callable[[Tensor], Tensor]) -> State:
    """The state with every tensor changed."""
    return change(state) if isinstance(state, Tensor) else tuple(change(part) for part in state)


def detach(state: State) -> State:
    """The state cut from the graph of the past, as truncated back-propagation needs it."""
    return each(state, Tensor.detach)


def select(state: State, rows: Tensor) -> State:
    """The states of some rows of the batch, as beam search needs them.

    Args:
        state: each tensor (layers * directions, B, H).
        rows: (n,) int64, indices into B; a row may stand several times.
    """
    return each(state, lambda part: part.index_select(1, rows.to(part.device)))

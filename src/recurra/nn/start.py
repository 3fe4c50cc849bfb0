"""The states with which a call begins: given, trained, or zero."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.errors import ShapeError, UsageError
from recurra.nn.state import State
from recurra.nn.weighted import Weighted


def initial(layer: Weighted, name: str, suffix: str, like: Tensor, rows: int) -> Tensor:
    """The state (B, *shape) with which a sequence starts in one layer and direction."""
    if layer.learn_initial_state:
        start: Tensor = getattr(layer, f"initial_{name}{suffix}")
        return start.expand(rows, *start.shape)
    shape = layer.state_shape(name)
    if len(shape) > 1:  # large: one zero that stands for all, which backends know as such
        return like.new_zeros(()).expand(rows, *shape)
    return like.new_zeros(rows, *shape)


def split(
    layer: Weighted, state: State | None, rows: int, batched: bool, like: Tensor
) -> list[tuple[Tensor, ...]]:
    """For each layer and direction its states, each (B, *shape).

    Raises:
        ShapeError: the state given is not one of this layer, or of another batch.
        UsageError: it has another number format than x, or lies on another device.
    """
    names = layer.graph.state_names
    suffixes = [suffix for _, _, suffix in layer.places()]
    if state is None:
        return [tuple(initial(layer, n, suffix, like, rows) for n in names) for suffix in suffixes]
    several = not isinstance(state, Tensor) and hasattr(state, "__iter__")
    parts = tuple(state) if several else (state,)
    for part in parts:
        if not isinstance(part, Tensor):
            raise ShapeError(
                f"the state has a {type(part).__name__} in it; cell {layer.cell.name} needs a "
                f"tensor for each of {', '.join(names)}, or None to start anew."
            )
    if len(parts) != len(names):
        raise ShapeError(
            f"the state has {len(parts)} parts; cell {layer.cell.name} has {len(names)}: "
            f"{', '.join(names)}."
        )
    for name, part in zip(names, parts, strict=True):
        expected = (len(suffixes), *((rows,) if batched else ()), *layer.state_shape(name))
        if tuple(part.shape) != expected:
            raise ShapeError(
                f"state {name} has the shape {tuple(part.shape)}; (layers * directions, batch, "
                f"shape) is {expected} here."
            )
        check_format(f"state {name}", part, like)
    if not batched:
        parts = tuple(part.unsqueeze(1) for part in parts)
    return list(zip(*(part.unbind(0) for part in parts), strict=True))


def check_format(name: str, value: Tensor, like: Tensor) -> None:
    """Refuse what is no tensor, or is in another number format than `like` or on another device."""
    if not isinstance(value, Tensor):
        raise UsageError(f"{name} is a {type(value).__name__}; give a tensor in the form of x.")
    if value.dtype != like.dtype or value.device != like.device:
        raise UsageError(
            f"{name} is {value.dtype} on {value.device} and x is {like.dtype} on {like.device}; "
            "convert one of them (.to(...))."
        )


def join(states: list[tuple[Tensor, ...]], batched: bool) -> State:
    """The states of all layers and directions for the user, each (layers * directions, B, ...)."""
    parts = tuple(
        torch.stack(one) if len(one) > 1 else one[0].unsqueeze(0)
        for one in zip(*states, strict=True)
    )
    if not batched:
        parts = tuple(part.squeeze(1) for part in parts)
    return parts if len(parts) > 1 else parts[0]

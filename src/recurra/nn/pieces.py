"""A long sequence in pieces: less memory for a second run forward.

Only the output and the states between pieces are kept; the backward pass runs each piece forward
again, from the last to the first. Chen et al. 2016, arXiv:1604.06174.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Result = tuple[Tensor, tuple[Tensor, ...]]
Run = Callable[[Mapping[str, Tensor], tuple[Tensor, ...]], Result]


def in_pieces(
    run: Run, sequences: Mapping[str, Tensor], before: tuple[Tensor, ...], every: int
) -> Result:
    """What `run(sequences, before)` gives, from pieces of `every` steps.

    Args:
        run: sequences by name, each (T, B, size), and states (B, size) -> output (T, B, size) and
            the states after it, behind them what is shown, (T, B, size). It must draw no random
            numbers.
        sequences: of all steps.
        before: the states.
        every: steps of a piece; the last may be shorter.
    """
    names, states = tuple(sequences), before
    room: Tensor | None = None
    steps = len(sequences[names[0]])

    def again(*tensors: Tensor) -> tuple[Tensor, ...]:
        own = dict(zip(names, tensors, strict=False))
        output, after = run(own, tensors[len(names) :])
        return (output, *after)

    stands: list[Tensor] = []
    shown: list[list[Tensor]] = []
    # One split for each sequence: its gradient is put together once, not a full one for each piece.
    for piece in zip(*(value.split(every) for value in sequences.values()), strict=True):
        output, *after = checkpoint(
            again, *piece, *states, use_reentrant=False, preserve_rng_state=False
        )
        if room is None:
            room = output.new_empty(steps, *output.shape[1:])
        place = room.narrow(0, every * len(stands), len(output))
        stands.append(_Moved.apply(output, place))
        states = tuple(after[: len(before)])
        shown.append(after[len(before) :])
        del output, place, after
    whole: Tensor = _Whole.apply(room, every, *stands)
    return whole, (*states, *(torch.cat(parts) for parts in zip(*shown, strict=True)))


class _Moved(torch.autograd.Function):
    """Copies a piece to its place; gives out what stands for it and needs no memory.

    Without it, all pieces would be in memory beside the whole until they are joined.
    """

    @staticmethod
    def forward(ctx: Any, piece: Tensor, place: Tensor) -> Tensor:
        place.copy_(piece)
        return piece.new_zeros(()).expand(piece.shape)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor, None]:
        return d, None


class _Whole(torch.autograd.Function):
    """The room that all pieces were copied to, as a value that depends on each of them."""

    @staticmethod
    def forward(ctx: Any, room: Tensor, every: int, *stands: Tensor) -> Tensor:
        ctx.every = every
        return room.view_as(room)

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *d.split(ctx.every))

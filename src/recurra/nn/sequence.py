"""The forms of a sequence, on its way in and out: batch first, unbatched, packed, with lengths."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra.errors import ShapeError

Lengths = Tensor | SequenceOf[int] | None


@dataclass(frozen=True)
class Sequences:
    """A batch in the one form used inside: time first.

    Attributes:
        x: (T, B, I); it may hold anything after the end of a row, NaN too.
        lengths: (B,) int64, or None if every row has T steps.
        alive: (T, B) bool, True before the end of a row; None without lengths.
    """

    x: Tensor
    lengths: Tensor | None
    alive: Tensor | None

    @property
    def without_padding(self) -> Tensor:
        """x (T, B, I), 0 after the end of a row."""
        if self.alive is None:
            return self.x
        return self.x.where(self.alive.unsqueeze(-1), self.x.new_zeros(()))

    def reversed(self, values: Tensor) -> Tensor:
        """(T, B, ...) with the steps of each row in the opposite order, padding left in place."""
        if self.lengths is None:
            return values.flip(0)
        # What is the same in all rows differs between them when each has its own end.
        values = values.expand(-1, self.lengths.shape[0], *values.shape[2:])
        steps = torch.arange(values.shape[0], device=values.device).unsqueeze(1)
        index = torch.where(steps < self.lengths, self.lengths - 1 - steps, steps)
        index = index.reshape(*index.shape, *[1] * (values.dim() - 2)).expand_as(values)
        return values.gather(0, index)


@dataclass(frozen=True)
class Door:
    """How a batch came in, so that the output can leave in the same form."""

    batch_first: bool
    batched: bool = True
    packed: PackedSequence | None = None

    def out(self, output: Tensor) -> Tensor | PackedSequence:
        """(T, B, H) in the form of the input."""
        if self.packed is not None:
            return packed(output, self.packed)
        if not self.batched:
            return output.squeeze(1)
        return output.transpose(0, 1) if self.batch_first else output


def enter(
    x: Tensor | PackedSequence, lengths: Lengths, batch_first: bool, input_size: int
) -> tuple[Sequences, Door]:
    """Bring a batch into the inner form.

    Raises:
        ShapeError: wrong number of dimensions or features, or lengths that do not fit.
    """
    if isinstance(x, PackedSequence):
        if lengths is not None:
            raise ShapeError("a PackedSequence carries its lengths; leave out lengths=.")
        _check_features(x.data, input_size, "a PackedSequence")
        return _with_lengths(*padded(x)), Door(False, packed=x)
    if not isinstance(x, Tensor):
        raise ShapeError(
            f"x is a {type(x).__name__}; a layer reads a tensor (T, B, I) or a PackedSequence."
        )
    if x.dim() not in (2, 3):
        raise ShapeError(
            f"x has the shape {tuple(x.shape)}; a layer reads (T, B, I), (B, T, I) with "
            "batch_first, or (T, I) without a batch."
        )
    _check_features(x, input_size, "x")
    door = Door(batch_first, batched=x.dim() == 3)
    if not door.batched:
        x = x.unsqueeze(1)
    elif batch_first:
        x = x.transpose(0, 1)
    return _with_lengths(x, lengths), door


def _check_features(x: Tensor, input_size: int, what: str) -> None:
    if x.shape[-1] != input_size:
        raise ShapeError(
            f"{what} has {x.shape[-1]} features a step (shape {tuple(x.shape)}); the layer was "
            f"made with input_size={input_size}."
        )


def before_end(steps: int, lengths: Tensor) -> Tensor:
    """(T, B) bool: True before the end of each row, from lengths (B,)."""
    return torch.arange(steps, device=lengths.device).unsqueeze(1) < lengths


def _with_lengths(x: Tensor, lengths: Lengths) -> Sequences:
    if lengths is None:
        return Sequences(x, None, None)
    steps, rows = x.shape[:2]
    counts = counted(lengths, steps, rows).to(x.device)
    return Sequences(x, counts, before_end(steps, counts))


def counted(lengths: Tensor | SequenceOf[int], steps: int, rows: int) -> Tensor:
    """The lengths of a batch as (B,) int64, where a row has at most `steps`.

    Raises:
        ShapeError: lengths that do not fit.
    """
    try:
        counts = torch.as_tensor(lengths)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ShapeError(
            f"lengths is {lengths!r:.60}; it needs one whole number for each of the {rows} rows."
        ) from error
    if not rows and not isinstance(lengths, Tensor):
        counts = counts.long()  # torch takes [] for floating point
    if counts.shape != (rows,) or counts.is_floating_point() or counts.dtype == torch.bool:
        raise ShapeError(
            f"lengths is {counts.dtype} of shape {tuple(counts.shape)}; it needs one whole number "
            f"for each of the {rows} rows."
        )
    if torch.compiler.is_compiling():  # their values are not known yet
        fits = ((counts >= 0) & (counts <= steps)).all()
        torch._assert_async(fits, "lengths go below 0 or above the steps of x.")
    elif rows and not (int(counts.min()) >= 0 and int(counts.max()) <= steps):
        raise ShapeError(
            f"lengths go from {int(counts.min())} to {int(counts.max())}; a row has 0 to {steps} "
            "steps."
        )
    return counts.to(torch.int64)


# PyTorch's pad_packed_sequence and pack_padded_sequence copy step by step; here it is one copy.


def padded(packed: PackedSequence) -> tuple[Tensor, Tensor]:
    """(T, B, I) with zeros after the ends, and the lengths (B,), both in the order of the batch."""
    rows = int(packed.batch_sizes[0])
    room = packed.data.new_zeros(len(packed.batch_sizes) * rows, packed.data.shape[-1])
    whole = room.index_copy(0, _places(packed), packed.data)
    lengths = (packed.batch_sizes.unsqueeze(1) > torch.arange(rows)).sum(0)
    if packed.unsorted_indices is not None:
        lengths = lengths[packed.unsorted_indices.cpu()]
    return whole.view(len(packed.batch_sizes), rows, -1), lengths


def packed(output: Tensor, like: PackedSequence) -> PackedSequence:
    """(T, B, size) in the form of a PackedSequence, without what is after the ends."""
    data = output.reshape(-1, output.shape[-1]).index_select(0, _places(like))
    return PackedSequence(data, like.batch_sizes, like.sorted_indices, like.unsorted_indices)


def _places(packed: PackedSequence) -> Tensor:
    """Where each row of the data stands in a padded batch, as (T * B, ...)."""
    sizes = packed.batch_sizes
    steps = torch.arange(len(sizes)).repeat_interleave(sizes)
    rows = torch.arange(len(steps)) - (sizes.cumsum(0) - sizes)[steps]
    steps, rows = steps.to(packed.data.device), rows.to(packed.data.device)
    if packed.sorted_indices is not None:
        rows = packed.sorted_indices[rows]
    return steps * int(sizes[0]) + rows

"""The forms of a sequence, on its way in and out: batch first, unbatched, packed, with lengths."""

from __future__ import annotations

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from recurra.errors import ShapeError

Lengths = Tensor | SequenceOf[int] | None


@dataclass(frozen=True)
class Sequences:
    """A batch in the one form used inside: time first.

    Attributes:
        x: (T, B, I); zero after the end of a row.
        lengths: (B,) int64, or None if every row has T steps.
        alive: (T, B) bool, True before the end of a row; None without lengths.
    """

    x: Tensor
    lengths: Tensor | None
    alive: Tensor | None

    def reversed(self, values: Tensor) -> Tensor:
        """(T, B, ...) with the steps of each row in the opposite order, padding left in place."""
        if self.lengths is None:
            return values.flip(0)
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

    def out(self, output: Tensor, lengths: Tensor | None) -> Tensor | PackedSequence:
        """(T, B, H) in the form of the input."""
        if self.packed is not None:
            return _pack(output, lengths, self.packed)
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
        padded, packed_lengths = pad_packed_sequence(x)
        _check_features(padded, input_size, "a PackedSequence")
        return _with_lengths(padded, packed_lengths), Door(False, packed=x)
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


def _with_lengths(x: Tensor, lengths: Lengths) -> Sequences:
    if lengths is None:
        return Sequences(x, None, None)
    steps, rows = x.shape[:2]
    counts = torch.as_tensor(lengths)
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
    counts = counts.to(device=x.device, dtype=torch.int64)
    alive = torch.arange(steps, device=x.device).unsqueeze(1) < counts
    # Padding may hold anything, NaN too; zero keeps it out of every product and gradient.
    return Sequences(x.where(alive.unsqueeze(-1), x.new_zeros(())), counts, alive)


def _pack(output: Tensor, lengths: Tensor | None, like: PackedSequence) -> PackedSequence:
    assert lengths is not None
    if like.sorted_indices is not None:
        output = output.index_select(1, like.sorted_indices)
        lengths = lengths.index_select(0, like.sorted_indices)
    data = pack_padded_sequence(output, lengths.cpu()).data
    return PackedSequence(data, like.batch_sizes, like.sorted_indices, like.unsorted_indices)

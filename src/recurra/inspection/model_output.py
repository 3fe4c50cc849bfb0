"""What a model reads and gives out, told from shapes: where time is, and what to measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from recurra.errors import UsageError
from recurra.inspection.layers import layers
from recurra.nn.sequence import Lengths


def first_tensor(value: Any) -> Tensor:
    """The first tensor in what a model takes or gives out; padded, if it is packed.

    Raises:
        UsageError: there is none.
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, PackedSequence):
        return pad_packed_sequence(value)[0]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list) and value:
        return first_tensor(value[0])
    raise UsageError(f"a {type(value).__name__} holds no tensor; give the model's tensors.")


def batch_first(model: nn.Module) -> bool:
    """Whether the layers of a model read (B, T, ...), so that the model is taken to do so."""
    return any(bool(getattr(layer, "batch_first", False)) for layer in layers(model).values())


def known_lengths(inputs: Any, lengths: Lengths) -> Tensor | None:
    """(B,) steps of each row, as given or packed; None if all have T."""
    if isinstance(inputs, tuple) and not isinstance(inputs, PackedSequence):
        return known_lengths(inputs[0], lengths)
    if isinstance(inputs, PackedSequence):
        return pad_packed_sequence(inputs)[1]
    if isinstance(inputs, Mapping):
        lengths = inputs.get("lengths") if lengths is None else lengths
    return None if lengths is None else torch.as_tensor(lengths)


def sequence(model: nn.Module, inputs: Any, output: Any) -> Tensor | None:
    """(T, B, V): what a model gives out at each step; None if it gives no sequence.

    The first tensor of its output is one, if it has the steps and rows of the first input.
    """
    read, given = first_tensor(inputs), first_tensor(output)
    if given.dim() == 2 and read.shape[:1] == given.shape[:1] and not _batched(inputs, read):
        return given.unsqueeze(1)
    if given.dim() != 3 or read.shape[:2] != given.shape[:2]:
        return None
    packed = isinstance(inputs, PackedSequence) or (
        isinstance(inputs, tuple) and isinstance(inputs[0], PackedSequence)
    )
    return given.transpose(0, 1) if batch_first(model) and not packed else given


def _batched(inputs: Any, read: Tensor) -> bool:
    """Whether there is a dimension of rows: one sequence of T steps may come without."""
    return read.dim() == 3 or (read.dim() == 2 and not read.is_floating_point())


def last_steps(values: Tensor, lengths: Tensor | None, before: int = 0) -> tuple[Tensor, Tensor]:
    """(rows, V) at the last step of each row, or `before` steps earlier, and the rows that have it.

    Args:
        values: (T, B, V).
        lengths: (B,), or None.
        before: how much earlier.
    """
    steps, rows = values.shape[:2]
    ends = torch.full((rows,), steps) if lengths is None else lengths.cpu()
    places = ends - 1 - before
    kept = (places >= 0).nonzero().flatten().to(values.device)
    return values[places.to(values.device)[kept], kept], kept


def default_loss(model: nn.Module, inputs: Any, output: Any, lengths: Lengths) -> Tensor:
    """The surprisal of each row's last item, or half the sum of squares of its last output.

    The first, -ln p(item), if the model reads whole numbers (T, B) and gives out (T, B, V) scores
    with V above each number that it read; the second (of the whole output, if it is no sequence)
    otherwise. All rows added up.
    """
    given, ends = sequence(model, inputs, output), known_lengths(inputs, lengths)
    if given is None:
        return first_tensor(output).square().sum() / 2
    items = first_tensor(inputs)
    if not items.is_floating_point() and items.numel() and int(items.max()) < given.shape[-1]:
        items = items.transpose(0, 1) if batch_first(model) else items
        scores, kept = last_steps(given, ends, before=1)
        ends = None if ends is None else ends.to(kept.device)[kept]
        last, _ = last_steps(items.unsqueeze(-1)[:, kept], ends)
        return cross_entropy(scores, last.squeeze(-1).long(), reduction="sum")
    return last_steps(given, ends)[0].square().sum() / 2

"""Where numbers enter a model: its first input, or what its embedding makes of items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from recurra.errors import UsageError
from recurra.inspection.layers import reading, visited
from recurra.inspection.model_output import batch_first, first_tensor
from recurra.inspection.recorder import called
from recurra.nn.modes import evaluating
from recurra.nn.sequence import Lengths, before_end, counted
from recurra.nn.visitor import Visitor

AT_ONCE = 16384  # steps of all rows that run at once, where copies of them do


class Entry:
    """The numbers that a model reads from its first input, exchangeable.

    Layers of torch run as their twins of recurra, so that gradients flow in evaluation mode on
    every device.

    Args:
        model: as for `record`.
        inputs: as for `record`; of the first, whole numbers are items, which enter by the model's
            one `torch.nn.Embedding` that reads them.
        lengths: (B,) as for `record`.

    Attributes:
        values: (T, B, I) or (B, T, I), as the model reads it: the inputs, or the embedded items.
        output: what the model gives out for them.

    Raises:
        UsageError: the first input is packed, or items that no or several embeddings read.
    """

    def __init__(self, model: Any, inputs: Any, lengths: Lengths) -> None:
        model, inputs = reading(model, inputs)
        first = next(iter(inputs.values())) if isinstance(inputs, Mapping) else inputs
        first = first[0] if isinstance(first, tuple) and type(first) is tuple else first
        if isinstance(first, PackedSequence):
            raise UsageError(
                "inputs can be attributed in padded form only; give a tensor and lengths=, in the "
                "place of a PackedSequence."
            )
        self.model, self.inputs, self.lengths = model, inputs, lengths
        self.embedding: nn.Module | None = None
        with self.open(), torch.no_grad():
            if first_tensor(inputs).is_floating_point():
                self.values = first_tensor(inputs).detach()
                self.output = called(model, inputs, lengths)
            else:
                self.embedding, self.values, self.output = self._embedded()
        if self.values.dim() != 3:
            raise UsageError(
                f"the sequence has the shape {tuple(self.values.shape)}; a batch of sequences is "
                "needed: (T, B, I) or (B, T, I), or items (T, B) or (B, T)."
            )

    @contextmanager
    def open(self) -> Iterator[None]:
        """Within it, `run` may be called."""
        with evaluating(self.model), visited(self.model, lambda *_: Visitor(), replacing=True):
            yield

    def run(self, values: Tensor, copies: int = 1) -> Any:
        """What the model gives out for other values, of the form of `values`.

        Args:
            values: of all rows; of several copies of them, one behind another.
            copies: how many; at most `most_copies`.
        """
        inputs, lengths = self.repeated(copies)
        if self.embedding is None:
            return called(self.model, self._with_first(inputs, values), lengths)
        with ExitStack() as stack:
            hook = self.embedding.register_forward_hook(lambda *_: values)
            stack.callback(hook.remove)
            return called(self.model, inputs, lengths)

    @property
    def most_copies(self) -> int:
        """How many times the rows may be run at once: 1 if the model has several inputs."""
        steps = self.values.shape[0] * self.values.shape[1]
        return max(1, AT_ONCE // max(steps, 1)) if isinstance(self.inputs, Tensor) else 1

    def repeated(self, count: int) -> tuple[Any, Lengths]:
        """The inputs and lengths of so many copies of the rows."""
        if count <= 1:
            return self.inputs, self.lengths
        first = self.time_first(self.inputs)
        inputs = self.time_first(first.repeat(1, count, *[1] * (first.dim() - 2)))
        return inputs, None if self.lengths is None else torch.as_tensor(self.lengths).repeat(count)

    def time_first(self, values: Tensor) -> Tensor:
        """(T, B, ...) of what is as the model reads it; and back again."""
        return values.transpose(0, 1) if batch_first(self.model) else values

    @property
    def alive(self) -> Tensor:
        """(T, B, 1) bool: before the end of a row."""
        steps, rows = self.time_first(self.values).shape[:2]
        lengths = torch.full((rows,), steps) if self.counts is None else self.counts
        return before_end(steps, lengths.to(self.values.device)).unsqueeze(-1)

    @property
    def counts(self) -> Tensor | None:
        """(B,) steps of each row; None if all have T."""
        given = self.lengths
        if given is None and isinstance(self.inputs, Mapping):
            given = self.inputs.get("lengths")
        steps, rows = self.time_first(self.values).shape[:2]
        return None if given is None else counted(given, steps, rows)

    def _embedded(self) -> tuple[nn.Module, Tensor, Any]:
        """The embedding that reads the items, what it makes of them, and the model's output."""
        found: list[tuple[nn.Module, Tensor]] = []

        def seen(module: nn.Module, args: Any, output: Tensor) -> None:
            found.append((module, output.detach()))

        with ExitStack() as stack:
            for module in self.model.modules():
                if isinstance(module, nn.Embedding):
                    stack.callback(module.register_forward_hook(seen).remove)
            output = called(self.model, self.inputs, self.lengths)
        if len(found) != 1:
            raise UsageError(
                f"the model reads whole numbers by {len(found)} calls of torch.nn.Embedding; "
                "attributions need exactly one. Give the embedded values to the part behind it."
            )
        return *found[0], output

    def _with_first(self, inputs: Any, values: Tensor) -> Any:
        if isinstance(inputs, Mapping):
            return {**inputs, next(iter(inputs)): values}
        return (values, *inputs[1:]) if type(inputs) is tuple else values

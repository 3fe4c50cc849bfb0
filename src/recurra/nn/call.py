"""What one call gives to every layer: the sequences beside x, in the order of each direction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recurra.errors import ShapeError, UnknownNameError, UsageError
from recurra.graph import Graph
from recurra.graph.facts import below
from recurra.nn.sequence import Door, Sequences
from recurra.nn.start import check_format


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        sequences: the batch, time first.
        reset: (T, B, 1), 1 where the state starts anew before this step; or None.
        extra: further sequences by name, each (T, B, size).
        start: index of the first step.
    """

    sequences: Sequences
    reset: Tensor | None
    extra: Mapping[str, Tensor]
    start: int

    def handed(self, values: Mapping[str, Tensor]) -> Call:
        """The call of the layer above, which gets these sequences of the one below."""
        return replace(self, extra={**self.extra, **values})

    def read(
        self, x: Tensor, graph: Graph, direction: str, added: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Every sequence that the graph reads in a direction, by name, each (T, B, size)."""
        steps = x.shape[0]
        values = {"x": x, **self.extra, **added}
        if self.reset is not None:
            forward = direction == "forward"
            values["reset"] = self.reset if forward else _backwards(self.reset, self.sequences)
        if direction == "reverse":
            values = {name: self.sequences.reversed(value) for name, value in values.items()}
        if any(leaf.attribute == "t" for leaf in graph.inputs):
            time = torch.arange(self.start, self.start + steps, device=x.device, dtype=x.dtype)
            values["t"] = time.view(-1, 1, 1)  # the same in all rows
        if self.sequences.alive is not None:
            values["alive"] = self.sequences.alive.unsqueeze(-1).to(x.dtype)
        return values


def _backwards(reset: Tensor, sequences: Sequences) -> Tensor:
    """Where a sequence starts anew when it is read from its end: one step before each start."""
    before = torch.zeros_like(reset)
    before[:-1] = reset[1:]
    if sequences.alive is not None:  # a start after the end of a row is none
        before[:-1] *= sequences.alive[1:].unsqueeze(-1)
    return before


def make_call(
    sequences: Sequences,
    door: Door,
    graph: Graph,
    sizes: Mapping[str, int],
    reset: Tensor | None,
    inputs: Mapping[str, Tensor],
    start: int,
) -> Call:
    """Check the sequences beside x and bring them into the inner form.

    Raises:
        UsageError: an input that the cell does not read, one that is missing, or one in another
            number format than x.
        ShapeError: a sequence of another shape than x asks for.
    """
    if not isinstance(inputs, Mapping):
        raise UsageError(f"inputs is a {type(inputs).__name__}; give tensors by name: {{...}}.")
    read = [str(leaf.attribute) for leaf in graph.inputs if leaf.attribute not in ("x", "t")]
    for name in inputs:
        if name not in read:
            raise UnknownNameError("input", name, read or ["none but x"])
    optional = {str(leaf.attribute) for leaf in below(graph)}
    missing = [name for name in read if name not in inputs and name not in optional]
    if missing:
        raise UsageError(f"cell {graph.name} also reads {', '.join(missing)}: inputs={{...}}.")
    extra = {}
    for name, value in inputs.items():
        leaf = graph.leaf(name)
        assert leaf is not None
        letters = graph.shape(leaf)
        check_format(f"inputs[{name!r}]", value, sequences.x)
        extra[name] = _time_first(name, value, sizes[letters[0]] if letters else 1, door, sequences)
    steps, rows = sequences.x.shape[:2]
    for leaf in below(graph):  # nothing is below the first layer
        size = sizes[graph.shape(leaf)[0]]
        extra.setdefault(str(leaf.attribute), sequences.x.new_zeros(steps, rows, size))
    if reset is not None:
        if not isinstance(reset, Tensor):
            raise ShapeError(
                f"reset is a {type(reset).__name__}; it needs a tensor (T, B) of truths, in the "
                "form of x."
            )
        flags = reset.unsqueeze(-1).to(sequences.x.dtype)
        reset = _time_first("reset", flags, 1, door, sequences)
    return Call(sequences, reset, extra, start)


def _time_first(name: str, value: Tensor, size: int, door: Door, sequences: Sequences) -> Tensor:
    if not door.batched and value.dim() == 2:
        value = value.unsqueeze(1)
    elif door.batch_first and value.dim() == 3:
        value = value.transpose(0, 1)
    expected = (*sequences.x.shape[:2], size)
    if tuple(value.shape) != expected:
        raise ShapeError(
            f"{name} has the shape {tuple(value.shape)} with time first; it needs {expected} "
            "(T, B, features), in the form of x."
        )
    return value

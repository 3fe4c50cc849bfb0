"""Running a graph on the backend that is chosen for it, also while PyTorch compiles or exports."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.choice import chosen
from recurra.backends.weights import Weights
from recurra.graph.serial import loads

Names = tuple[str, ...]


def run(
    graph: str, weights: Weights, given: Given, values: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The output (T, B, size) of a graph and its states after the last step, each (B, size).

    Args:
        graph: one step, as `recurra.graph.serial.dumps` writes it.
        weights: what it reads beside `given`.
        given: see `Given`.
        values: T x B x H, by which a backend is chosen. What PyTorch compiles or exports is not
            chosen by it: its sizes are open.
    """
    if torch.compiler.is_dynamo_compiling():
        members = tuple(members for members, _ in weights.stacks)
        names = tuple(weights.fixed), tuple(given.sequences), tuple(given.per_row)
        tensors = [
            *(stored for _, stored in weights.stacks),
            *weights.fixed.values(),
            *given.sequences.values(),
            *given.per_row.values(),
            *given.states,
        ]
        output, *states = _stepped_over(graph, members, names, given.steps, given.rows, tensors)
        return output, tuple(states)
    return _run(graph, weights, given, None if torch.compiler.is_compiling() else values)


def _run(
    text: str, weights: Weights, given: Given, values: int | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    graph, state = loads(text), given.states[0]
    return chosen(graph, state.device, state.dtype, values).run(graph, weights, given)


@torch.compiler.allow_in_graph
def _stepped_over(
    text: str,
    members: tuple[Names, ...],
    names: tuple[Names, Names, Names],
    steps: int,
    rows: int,
    tensors: Sequence[Tensor],
) -> tuple[Tensor, ...]:
    """`run` as torch.compile's front end sees it: one call on tensors, which it does not look into.

    Its rear end does, and finds PyTorch's operators and those of the backends.
    """
    rest = iter(tensors)
    stacks = [(one, next(rest)) for one in members]
    fixed, sequences, per_row = ({name: next(rest) for name in some} for some in names)
    given = Given(steps, rows, sequences, per_row, tuple(rest))
    output, states = _run(text, Weights(stacks, fixed), given, None)
    return output, *states

"""The recurrence on the reference backend, which is differentiable any number of times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.cpu.batch import ragged
from recurra.backends.cpu.operands import Operands
from recurra.backends.reference import Reference
from recurra.backends.weights import Weights
from recurra.graph import Expression


def plain(
    taken: Operands, steps: int, lengths: Tensor | None, tensors: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """(outputs, last states) of the operator `recurra::recurrence`, by PyTorch's own operators."""
    sources, *others = taken.divide(tensors)
    named, given = in_the_loop(taken, steps, taken.read(sources), *others)
    states, sequences = given.states, given.sequences
    if lengths is None:
        return _outputs_first(*Reference().run(taken.loop, named, given), len(states))
    step, row = ragged(lengths).places
    padded = {
        name: _padded(value, steps, len(lengths), step, row) for name, value in sequences.items()
    }
    padded["alive"] = (torch.arange(steps).unsqueeze(1) < lengths).unsqueeze(-1).to(states[0].dtype)
    given = Given(steps, states[0].shape[0], padded, {}, tuple(states))
    found = _outputs_first(*Reference().run(taken.loop, named, given), len(states))
    outputs, lasts = found[: -len(states)], found[-len(states) :]
    return *(output[step, row].unsqueeze(0) for output in outputs), *lasts


def in_the_loop(
    taken: Operands,
    steps: int,
    reads: Mapping[Expression, Tensor],
    constants: Sequence[Tensor],
    stacked: Sequence[Tensor],
    states: Sequence[Tensor],
) -> tuple[Weights, Given]:
    """What `Operands.loop` reads, by the names of its leaves."""
    weights = taken.constants(constants) | taken.matrices(stacked)
    names = {node: str(leaf.attribute) for node, leaf in taken.leaves.items()}
    sequences = {names[node]: read for node, read in reads.items()}
    named = Weights([((names[node],), weight) for node, weight in weights.items()], {})
    return named, Given(steps, states[0].shape[0], sequences, {}, tuple(states))


def _outputs_first(output: Tensor, others: tuple[Tensor, ...], states: int) -> tuple[Tensor, ...]:
    return output, *others[states:], *others[:states]


def _padded(value: Tensor, steps: int, rows: int, step: Tensor, row: Tensor) -> Tensor:
    """(1, N, ...) as (T, B, ...)."""
    room = value.new_zeros(steps, rows, *value.shape[2:])
    return room.index_put((step, row), value[0])

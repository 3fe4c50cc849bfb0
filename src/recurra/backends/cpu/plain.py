"""The recurrence on the reference backend, which is differentiable any number of times."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.cpu.batch import ragged
from recurra.backends.cpu.operands import Operands
from recurra.backends.reference import Reference
from recurra.backends.weights import Weights


def plain(
    taken: Operands, steps: int, lengths: Tensor | None, tensors: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """(outputs, last states) of the operator `recurra::recurrence`, by PyTorch's own operators."""
    sources, constants, stacked, states = taken.divide(tensors)
    weights = taken.constants(constants) | taken.matrices(stacked)
    sequences = {
        str(taken.leaves[node].attribute): read for node, read in taken.read(sources).items()
    }
    named = Weights([((taken.leaves[node].attribute,), t) for node, t in weights.items()], {})
    if lengths is None:
        given = Given(steps, states[0].shape[0], sequences, {}, tuple(states))
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


def _outputs_first(output: Tensor, others: tuple[Tensor, ...], states: int) -> tuple[Tensor, ...]:
    return output, *others[states:], *others[:states]


def _padded(value: Tensor, steps: int, rows: int, step: Tensor, row: Tensor) -> Tensor:
    """(1, N, size) as (T, B, size)."""
    room = value.new_zeros(steps, rows, value.shape[-1])
    return room.index_put((step, row), value[0])

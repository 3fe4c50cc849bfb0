"""The recurrence on the reference backend, which is differentiable any number of times."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.cpu.operands import Operands
from recurra.backends.reference import Reference
from recurra.backends.weights import Weights


def plain(taken: Operands, steps: int, tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """(output, last states) of the operator `recurra::recurrence`, by PyTorch's own operators."""
    sources, constants, stacked, states = taken.divide(tensors)
    weights = taken.constants(constants) | taken.matrices(stacked)
    given = Given(
        steps,
        states[0].shape[0],
        {taken.leaves[node].attribute: read for node, read in taken.read(sources).items()},
        {},
        tuple(states),
    )
    named = Weights([((taken.leaves[node].attribute,), t) for node, t in weights.items()], {})
    output, lasts = Reference().run(taken.loop, named, given)
    return output, *lasts

"""The reference backend: any graph in PyTorch, on any device, in any format, twice differentiable.

It is the referee of all others. What does not depend on a state is computed for all steps at once;
only the rest runs in a Python loop over time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from recurra.backends.backend import Backend, Given
from recurra.backends.plan import Plan, Program
from recurra.backends.weights import Weights
from recurra.graph import Graph


class Reference(Backend):
    """Runs every graph, step by step, in PyTorch.

    Args:
        linear: what stands for the products with weights, a function of value, weight and bias such
            as `recurra.backends.convolution.convolve`.
    """

    name = "reference"
    purpose = "runs any graph in PyTorch, a Python loop over time"

    def __init__(self, linear: Callable[..., Tensor] = F.linear) -> None:
        self.linear = linear

    def refusal(
        self, graph: Graph, device: torch.device, dtype: torch.dtype, values: int | None = None
    ) -> str | None:
        """It refuses nothing."""
        return None

    def run(
        self, graph: Graph, weights: Weights, given: Given
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `Backend.run`."""
        plan = _plan(graph, self.linear)
        values = plan.blank(weights, given)
        execute(plan.constant, values)
        execute(plan.parallel, values)
        slices = [(target, values[source].unbind(0)) for source, target in plan.per_step]
        states = given.states
        outputs = []
        for t in range(given.steps):
            for slot, state in zip(plan.states, states, strict=True):
                values[slot] = state
            for slot, slices_of in slices:
                values[slot] = slices_of[t if len(slices_of) > 1 else 0]
            execute(plan.step, values)
            states = tuple(values[slot] for slot in plan.updates)
            outputs.append(values[plan.output])
        if not outputs:
            size = plan.size(graph.shapes[graph.output][0], weights, given)
            places = given.sequences["x"].shape[1:-1]
            return given.states[0].new_zeros(0, *places, size), states
        return torch.stack(outputs), states


@lru_cache(maxsize=256)
def _plan(graph: Graph, linear: Callable[..., Tensor] = F.linear) -> Plan:
    return Plan.of(graph, linear)


def execute(program: Program, values: list[Tensor]) -> None:
    """Run the instructions of a program over its slots."""
    for function, sources, target in program:
        result = function(*[values[source] for source in sources])
        if isinstance(target, int):
            values[target] = result
        else:
            for slot, part in zip(target, result, strict=True):
                values[slot] = part

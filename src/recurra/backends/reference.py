"""The reference backend: any graph in PyTorch, on any device, in any format, twice differentiable.

It is the referee of all others. What does not depend on a state is computed for all steps at once;
only the rest runs in a Python loop over time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from recurra.backends.backend import Backend, Given
from recurra.backends.plan import Plan, Program
from recurra.backends.weights import Weights
from recurra.graph import Graph
from recurra.graph.rewrite import with_lengths


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
        if "alive" in given.sequences:
            graph, given = masked(graph), without_padding(given)
        plan = plan_of(graph, self.linear)
        values = plan.blank(weights, given)
        execute(plan.constant, values)
        execute(plan.parallel, values)
        slices = [(target, values[source].unbind(0)) for source, target in plan.per_step]
        states = given.states
        outputs: list[list[Tensor]] = [[] for _ in plan.outputs]
        for t in range(given.steps):
            for slot, state in zip(plan.states, states, strict=True):
                values[slot] = state
            for slot, slices_of in slices:
                values[slot] = slices_of[t if len(slices_of) > 1 else 0]
            execute(plan.step, values)
            states = tuple(values[slot] for slot in plan.updates)
            for found, slot in zip(outputs, plan.outputs, strict=True):
                found.append(values[slot])
        if not given.steps:
            sizes = [plan.size(graph.shapes[o][0], weights, given) for o in graph.outputs]
            empty, places = given.states[0].new_zeros, given.sequences["x"].shape[1:-1]
            output, *shown = [empty(0, *places, size) for size in sizes]
        else:
            output, *shown = map(torch.stack, outputs)
            # What reads the time alone has one row.
            shown = [v.expand(-1, given.rows, *v.shape[2:]) for v in shown]
        given_back = (s.clone() if any(s is old for old in given.states) else s for s in states)
        return output, (*given_back, *shown)


def without_padding(given: Given) -> Given:
    """With 0 after the end of a row: what stood there stays out of products and gradients."""
    alive = given.sequences.get("alive")
    if alive is None:
        return given
    there, sequences = (alive != 0).flatten(1), dict(given.sequences)
    for name, value in given.sequences.items():
        if value is not alive and value.shape[:2] == alive.shape[:2]:
            mask = there.view(*there.shape, *[1] * (value.dim() - 2))
            sequences[name] = value.where(mask, value.new_zeros(()))
    return replace(given, sequences=sequences)


@lru_cache(maxsize=256)
def masked(graph: Graph) -> Graph:
    """The graph whose rows stay as they are from the step in which the input `alive` is 0."""
    return with_lengths(graph)


@lru_cache(maxsize=256)
def plan_of(graph: Graph, linear: Callable[..., Tensor] = F.linear) -> Plan:
    """The plan of a graph, made once."""
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

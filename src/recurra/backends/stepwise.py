"""A graph one step at a time, for steps whose input depends on the step before: in PyTorch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.reference import execute, plan_of
from recurra.backends.weights import Weights
from recurra.graph import Graph


class Stepwise:
    """The reference backend, one step a call; what depends on weights alone is computed once.

    Args:
        graph: the step.
        weights: of the graph.
        given: the batch: its rows, what is the same in every step, and states like those to come.
    """

    def __init__(self, graph: Graph, weights: Weights, given: Given) -> None:
        self._plan, self._weights = plan_of(graph), weights
        self._given = replace(given, steps=1)
        self._values: list[Any] = []  # of what is constant; sizes of it follow from the first step

    def __call__(
        self, sequences: dict[str, Tensor], states: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One step.

        Args:
            sequences: for each input leaf by name, (B, size), or (B, 1) for a scalar.
            states: each (B, size).

        Returns:
            output (B, size), and the states after the step with what the graph shows behind them.
        """
        plan = self._plan
        step = {name: value.unsqueeze(0) for name, value in sequences.items()}
        given = replace(self._given, sequences=step, states=states)
        if not self._values:
            self._values = plan.blank(self._weights, given)
            execute(plan.constant, self._values)
        values = plan.with_given(self._values, given)
        execute(plan.parallel, values)
        for source, target in plan.per_step:
            values[target] = values[source][0]
        for slot, state in zip(plan.states, states, strict=True):
            values[slot] = state
        execute(plan.step, values)
        output, *shown = (values[slot] for slot in plan.outputs)
        return output, (*(values[slot] for slot in plan.updates), *shown)

"""Random values for everything that a graph reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recurra.backends import Given, Weights
from recurra.graph import Expression, Graph

SIZES = {"I": 2, "H": 3, "P": 2, "I_y": 4}


@dataclass(frozen=True)
class Sample:
    """Values for the leaves of a graph, T = steps, B = rows, all float64.

    A weight is (rows, ...), or (1,) for a scalar; a sequence (T, B, size); a state (B, size).
    """

    steps: int
    rows: int
    sizes: Mapping[str, int]
    leaves: Mapping[Expression, Tensor]

    def kind(self, *ops: str) -> dict[str, Tensor]:
        """The values of the leaves of these kinds, by name."""
        return {leaf.attribute: v for leaf, v in self.leaves.items() if leaf.op in ops}

    def weights(self) -> Weights:
        """Each weight as a stack of its own."""
        stacks = [((name,), value) for name, value in self.kind("parameter").items()]
        return Weights(stacks, self.kind("fixed"))

    def given(self, graph: Graph) -> Given:
        states = tuple(self.leaves[state] for state in graph.states)
        return Given(self.steps, self.rows, self.kind("input"), self.kind("given"), states)

    def changed(self, change: Mapping[Expression, Tensor]) -> Sample:
        """This sample with other values for some leaves."""
        return replace(self, leaves={**self.leaves, **change})


def sample(
    graph: Graph,
    sizes: Mapping[str, int] = SIZES,
    *,
    steps: int = 3,
    rows: int = 2,
    seed: int = 0,
) -> Sample:
    """Normal values for all leaves of a graph; the time index counts."""
    source = torch.Generator().manual_seed(seed)
    before = {"input": (steps, rows), "given": (rows,), "state": (rows,)}
    leaves: dict[Expression, Tensor] = {}
    for leaf, shape in graph.leaf_shapes:
        if leaf.op == "constant":
            continue
        counts = [sizes[letter] for letter in shape] or [1]
        size = (*before.get(leaf.op, ()), *counts)
        leaves[leaf] = torch.randn(size, generator=source, dtype=torch.float64)
        if leaf.op == "input" and leaf.attribute == "t":
            leaves[leaf] = torch.arange(steps).double().view(-1, 1, 1).expand(size)
    return Sample(steps, rows, sizes, leaves)

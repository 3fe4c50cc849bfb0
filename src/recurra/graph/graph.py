"""The graph of a cell: one step of a recurrent network as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from recurra.graph.expression import Expression, substitute, walk
from recurra.graph.shapes import Shape, shape_of


@dataclass(frozen=True, eq=False)
class Graph:
    """One step: what it reads, what it gives, and the names of the values between.

    Attributes:
        name: of the cell.
        inputs: leaves read from sequences, x first.
        states: leaves carried over from the step before, in the order of the cell.
        updates: for each state, its value after the step.
        output: what the layer above sees.
        parameters: trained leaves, in the order in which the equations name them.
        named: (name, value) in the order of the equations; a state's name means its value after the
            step.
        leaf_shapes: (leaf, shape) of every leaf.
        shown: names of values whose sequences are given out beside the output.
    """

    name: str
    inputs: tuple[Expression, ...]
    states: tuple[Expression, ...]
    updates: tuple[Expression, ...]
    output: Expression
    parameters: tuple[Expression, ...]
    named: tuple[tuple[str, Expression], ...]
    leaf_shapes: tuple[tuple[Expression, Shape], ...]
    shown: tuple[str, ...] = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Graph:
        return self  # frozen, and the key of every cache

    @cached_property
    def roots(self) -> tuple[Expression, ...]:
        """All that a step must compute: the updates, the output and the named values."""
        return (*self.updates, self.output, *(value for _, value in self.named))

    @cached_property
    def nodes(self) -> tuple[Expression, ...]:
        """Every node that the updates and what is given out need, operands first."""
        return tuple(walk((*self.updates, *self.outputs)))

    @property
    def outputs(self) -> tuple[Expression, ...]:
        """The output, and the values that are shown beside it."""
        return (self.output, *(dict(self.named)[name] for name in self.shown))

    @cached_property
    def shapes(self) -> Mapping[Expression, Shape]:
        """The shape of every node."""
        return shape_of(self.roots, dict(self.leaf_shapes))

    @cached_property
    def names(self) -> Mapping[Expression, str]:
        """The paper's name of a node, where it has one."""
        names: dict[Expression, str] = {}
        for name, value in self.named:
            names.setdefault(value, name)
        return names

    @property
    def state_names(self) -> tuple[str, ...]:
        """The names of the states, in the order of the cell."""
        return tuple(state.attribute for state in self.states)

    def leaf(self, name: str) -> Expression | None:
        """The parameter, input, state or other leaf called `name`."""
        for leaf, _ in self.leaf_shapes:
            if leaf.attribute == name and leaf.op != "constant":
                return leaf
        return None

    def leaves(self, op: str) -> tuple[Expression, ...]:
        """The leaves of one kind ("given", "fixed", ...) that the step still reads."""
        return tuple(node for node in self.nodes if node.op == op)

    def shape(self, leaf: Expression) -> Shape:
        """The shape of one leaf, also of one that a rewrite has made unused."""
        return dict(self.leaf_shapes)[leaf]

    def rewritten(
        self,
        replacement: Mapping[Expression, Expression],
        new_leaves: Mapping[Expression, Shape] | None = None,
    ) -> Graph:
        """This graph with nodes exchanged, in every equation and under every name.

        Parameters that no equation reads any more are dropped.
        """
        roots = substitute(self.roots, replacement)
        return self.with_roots(roots, new_leaves or {})

    def with_roots(
        self, roots: tuple[Expression, ...], new_leaves: Mapping[Expression, Shape]
    ) -> Graph:
        """This graph with other values for `roots`, in their order."""
        count = len(self.updates)
        reached = set(walk(roots))
        inputs = (*self.inputs, *(leaf for leaf in new_leaves if leaf.op == "input"))
        return replace(
            self,
            inputs=inputs,
            updates=roots[:count],
            output=roots[count],
            parameters=tuple(p for p in self.parameters if p in reached),
            named=tuple(
                (name, value)
                for (name, _), value in zip(self.named, roots[count + 1 :], strict=True)
            ),
            leaf_shapes=(*self.leaf_shapes, *new_leaves.items()),
        )

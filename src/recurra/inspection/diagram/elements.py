"""What a diagram consists of: nodes and edges, without places."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Node:
    """One thing that is drawn.

    Attributes:
        key: what edges call it: the paper's name of its value, or kind:name for ports and values
            without a name.
        kind: input, before (a state at t-1), after (a state at t), output; gate (weights act in
            it), function (of one value), product, sum, operator; join (lines that go on as one).
        label: what stands in it; for a port the name of its value, and "weight:U_n" for the weight
            that acts alone in it.
        value: the paper's name of its value; "" if it has none.
        text: its equation.
    """

    key: str
    kind: str
    label: str
    value: str = ""
    text: str = ""


@dataclass(frozen=True)
class Edge:
    """A value on its way from a node to one that reads it.

    Attributes:
        source: key of the node whose value it is.
        target: key of the reader.
        sign: "-" where a sum subtracts it, "/" where it divides.
        weighted: whether a matrix acts on it in the reader.
    """

    source: str
    target: str
    sign: str = ""
    weighted: bool = False


@dataclass(frozen=True)
class Diagram:
    """The reduced graph of a cell.

    Attributes:
        name: of the cell.
        nodes: by their keys, operands first.
        edges: in the order in which the equations read.
        states: names of the states.
        updates: for each state, the key of the node that gives its new value.
    """

    name: str
    nodes: dict[str, Node]
    edges: tuple[Edge, ...]
    states: tuple[str, ...]
    updates: dict[str, str] = field(default_factory=dict)

    @cached_property
    def operands(self) -> dict[str, list[str]]:
        """For each node the keys of what it reads, in the order of the equation."""
        found: dict[str, list[str]] = {key: [] for key in self.nodes}
        for edge in self.edges:
            found[edge.target].append(edge.source)
        return found

    @cached_property
    def readers(self) -> dict[str, list[str]]:
        """For each node the keys of what reads it."""
        found: dict[str, list[str]] = {key: [] for key in self.nodes}
        for edge in self.edges:
            found[edge.source].append(edge.target)
        return found

    def kind(self, key: str) -> str:
        """The kind of a node."""
        return self.nodes[key].kind

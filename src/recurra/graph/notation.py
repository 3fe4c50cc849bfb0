"""What the printed forms share: precedence, and which node is printed by its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from recurra.graph.expression import Expression, walk
from recurra.graph.facts import variation
from recurra.graph.graph import Graph

Name = Callable[[Expression], str | None]

SUM, PRODUCT, SIGN, ATOM = 1, 2, 3, 9


@dataclass(frozen=True)
class Form:
    """How an operation is printed.

    Attributes:
        template: with {0}, {1}, ... for the operands.
        precedence: how tightly the result binds.
        needs: for each operand, the precedence below which it is put in brackets.
    """

    template: str
    precedence: int = ATOM
    needs: tuple[int, ...] = (0, 0, 0)


@dataclass(frozen=True)
class Notation:
    """A printed form: a table of operations, brackets, and how a leaf is spelled."""

    forms: Mapping[str, Form]
    bracket: str
    leaf: Callable[[Expression], str]

    def render(self, root: Expression, name: Name = lambda node: None) -> str:
        """The text of one expression; a node that `name` knows is printed by its name."""
        return self._render(root, name)[0]

    def _render(self, node: Expression, name: Name, top: bool = True) -> tuple[str, int]:
        known = None if top else name(node)
        if known is not None:
            return known, ATOM
        if not node.args:
            text = name(node) or self.leaf(node)
            return text, SIGN if text.startswith("-") else ATOM
        form = self.forms[node.op]
        parts = []
        for arg, need in zip(node.args, form.needs, strict=False):
            text, precedence = self._render(arg, name, top=False)
            parts.append(self.bracket.format(text) if precedence < need else text)
        return form.template.format(*parts), form.precedence


def equations(graph: Graph) -> list[tuple[str, Expression]]:
    """(name, value) of every equation, in the order in which a step computes them.

    A part that stands in several places and has no name gets one, s1, s2, ..., and an equation.
    """
    nodes = walk(value for _, value in graph.named)
    varies = variation(nodes)
    read = Counter(arg for node in nodes for arg in node.args)
    shared = [
        node
        for node in nodes
        if node.args and read[node] > 1 and node not in graph.names and varies[node] > 0
    ]
    taken = {str(leaf.attribute) for leaf, _ in graph.leaf_shapes} | set(dict(graph.named))
    free = (name for k in count(1) if (name := f"s{k}") not in taken)
    names = dict(graph.named) | dict(zip(free, shared, strict=False))
    position = {node: k for k, node in enumerate(nodes)}
    return sorted(names.items(), key=lambda item: position[item[1]])

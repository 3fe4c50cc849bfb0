"""Sums and products of an equation, flattened: which terms weights act on, and which are plain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from recurra.graph.expression import Expression, walk
from recurra.graph.facts import uses
from recurra.graph.graph import Graph


@dataclass(frozen=True)
class Term:
    """One term of a sum: its sign, the value, and the operand on which weights act in it."""

    sign: str
    value: Expression
    operand: Expression | None = None
    matrix: bool = False


class Shape:
    """Which nodes move with time, and which are part of the equation above them."""

    def __init__(self, graph: Graph) -> None:
        nodes = walk(graph.roots)
        self.names: Mapping[Expression, str] = {n: k for n, k in graph.names.items() if n.args}
        self.readers = uses(nodes)
        self.moving: dict[Expression, bool] = {}
        for node in nodes:
            own = node.op in ("input", "given", "state") or node in self.names
            inner = not is_nothing(node) and any(self.moving[arg] for arg in node.args)
            self.moving[node] = own or inner

    def inside(self, node: Expression) -> bool:
        """Whether a node has no life of its own: no name, and one reader."""
        readers = self.readers.get(node, ())
        return node not in self.names and len(readers) == 1 and bool(node.args)

    def moving_args(self, node: Expression) -> list[Expression]:
        """The operands that are no weights and no numbers, each once."""
        args = () if is_nothing(node) else dict.fromkeys(node.args)
        return [arg for arg in args if self.moving[arg]]

    def sources(self, node: Expression) -> list[Expression]:
        """The named values and leaves that a node is made of."""
        found: dict[Expression, None] = {}
        seen: set[Expression] = set()
        stack = list(reversed(self.moving_args(node)))
        while stack:
            part = stack.pop()
            if part in seen:
                continue
            seen.add(part)
            if part in self.names or not part.args:
                found[part] = None
            else:
                stack.extend(reversed(self.moving_args(part)))
        return list(found)

    def flat(
        self, node: Expression, opens: Callable[[Expression], bool]
    ) -> list[tuple[str, Expression]]:
        """The signed terms of a sum; what stands alone is its only term."""
        if node.op == "negate" and opens(node):
            return [(_flip(sign), v) for sign, v in self.flat(node.args[0], self.inside)]
        if node.op not in ("add", "subtract") or not opens(node):
            return [("", node)]
        left = self.flat(node.args[0], self.inside)
        right = self.flat(node.args[1], self.inside)
        if node.args[0] is node.args[1]:  # a + a
            left = right = [("", node.args[0])]
        flip = node.op == "subtract"
        return left + [(_flip(sign) if flip else sign, value) for sign, value in right]

    def terms(self, node: Expression) -> list[Term]:
        """The terms of a sum with what weights act on."""
        found = []
        for sign, value in self.flat(node, lambda _: True):
            named = value in self.names and value is not node
            operand, matrix = (None, False) if named else self.weighted(value)
            found.append(Term(sign, value, operand, matrix))
        return found

    def weighted(self, node: Expression) -> tuple[Expression | None, bool]:
        """The value that a term scales or multiplies by weights, and whether by a matrix."""
        if not self.moving[node]:
            return None, False
        if node.op == "matmul" and not self.moving[node.args[0]]:
            return node.args[1], True
        arguments = self.moving_args(node)
        scaled = node.op == "multiply" or (node.op == "divide" and self.moving[node.args[0]])
        if not scaled or len(arguments) != 1 or node.args.count(arguments[0]) != 1:
            return None, False
        other = node.args[1 - node.args.index(arguments[0])]
        deeper, matrix = self.weighted(arguments[0]) if self.inside(arguments[0]) else (None, False)
        if deeper is not None:
            return deeper, matrix
        return (None if is_number(other) else arguments[0]), False

    def factors(self, node: Expression) -> list[Expression]:
        """The factors of a product."""
        found: list[Expression] = []
        for arg in node.args:
            inner = arg.op == "multiply" and self.inside(arg) and node.args.count(arg) == 1
            found += self.factors(arg) if inner and self.moving[arg] else [arg]
        return found


def _flip(sign: str) -> str:
    return "" if sign else "-"


def is_nothing(node: Expression) -> bool:
    """Whether a node is a product with 0, of which only the shape matters."""
    return node.op == "multiply" and any(
        arg.op == "constant" and arg.attribute == 0 for arg in node.args
    )


def is_number(node: Expression) -> bool:
    """Whether a node is made of numbers alone."""
    return all(part.args or part.op == "constant" for part in walk([node]))

"""A graph as text: the equations as a person would type them."""

from __future__ import annotations

from recurra.graph.expression import Expression
from recurra.graph.graph import Graph
from recurra.graph.notation import ATOM, PRODUCT, SIGN, SUM, Form, Name, Notation, equations
from recurra.graph.operations import LEAVES, OPERATIONS

_INFIX = {
    "add": Form("{0} + {1}", SUM, (SUM, PRODUCT)),
    "subtract": Form("{0} - {1}", SUM, (SUM, PRODUCT)),
    "multiply": Form("{0} * {1}", PRODUCT, (PRODUCT, SIGN)),
    "divide": Form("{0} / {1}", PRODUCT, (PRODUCT, SIGN)),
    "matmul": Form("{0} @ {1}", PRODUCT, (SIGN, SIGN)),
    "greater": Form("{0} > {1}", 0, (SUM, SUM)),
    "negate": Form("-{0}", SIGN, (SIGN,)),
}
_OPERANDS = ("{0}", "{1}", "{2}")
_CALLS = {
    name: Form(f"{name}({', '.join(_OPERANDS[: op.arity])})")
    for name, op in OPERATIONS.items()
    if name not in _INFIX and name not in LEAVES
}


def _leaf(node: Expression) -> str:
    return f"{node.attribute:g}" if node.op == "constant" else str(node.attribute)


TEXT = Notation(_INFIX | _CALLS | {name: Form("{0}", ATOM) for name in LEAVES}, "({})", _leaf)


def expression_text(node: Expression, name: Name = lambda node: None) -> str:
    """One expression, written out down to the leaves and to the parts that `name` knows."""
    return TEXT.render(node, name)


def text(graph: Graph) -> str:
    """The equations of a graph, one a line, with the time of every value.

    Example:
        >>> from recurra import cells
        >>> print(text(cells.get("elman").graph))
        h[t] = tanh(W_h @ x[t] + U_h @ h[t-1] + b_h)
    """

    rows = equations(graph)
    names = {value: left for left, value in rows if value.args}

    def name(node: Expression) -> str | None:
        if node in names:
            return f"{names[node]}[t]"
        if node.op == "input":
            return "t" if node.attribute == "t" else f"{node.attribute}[t]"
        return f"{node.attribute}[t-1]" if node.op == "state" else None

    width = max(len(left) for left, _ in rows)
    return "\n".join(
        f"{left + '[t]':<{width + 3}} = {TEXT.render(right, name)}" for left, right in rows
    )

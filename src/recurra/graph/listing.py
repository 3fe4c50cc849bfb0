"""A graph as a listing: every node a line, with its shape and where it is computed."""

from __future__ import annotations

from recurra.graph.expression import Expression
from recurra.graph.facts import Variation, variation
from recurra.graph.graph import Graph

_WHERE = {
    Variation.CONSTANT: "once",
    Variation.PARALLEL: "all steps at once",
    Variation.STEP: "each step",
}


def listing(graph: Graph) -> str:
    """Every node that a step needs: number, operation, operands, shape, how often it runs, name."""
    varies = variation(graph.nodes)
    number = {node: k for k, node in enumerate(graph.nodes)}
    rows = []
    for node in graph.nodes:
        shape = "(" + ", ".join(graph.shapes[node]) + ")"
        name = graph.names.get(node, "")
        rows.append((f"%{number[node]}", _content(node, number), shape, _WHERE[varies[node]], name))
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    return "\n".join(
        "  ".join(
            f"{cell:<{width}}" for cell, width in zip(row, [*widths, 0], strict=True)
        ).rstrip()
        for row in rows
    )


def _content(node: Expression, number: dict[Expression, int]) -> str:
    if not node.args:
        value = f"{node.attribute:g}" if node.op == "constant" else node.attribute
        return f"{node.op} {value}"
    return f"{node.op} " + ", ".join(f"%{number[arg]}" for arg in node.args)

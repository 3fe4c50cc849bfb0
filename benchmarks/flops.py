"""The products of a cell, counted from its graph."""

from __future__ import annotations

from collections.abc import Mapping

from recurra.graph import Graph
from recurra.graph.facts import Variation, variation


def products(graph: Graph, sizes: Mapping[str, int], recurrent: bool = False) -> int:
    """Floating-point operations of the matrix products of one step and row, forward.

    A product of a matrix (rows, columns) counts 2 * rows * columns. Its backward direction has two
    of the same size: for the operand, and for the matrix.

    Args:
        graph: the cell.
        sizes: the number behind each size letter.
        recurrent: only those products that must wait for a state.
    """
    varies = variation(graph.nodes)
    least = Variation.STEP if recurrent else Variation.PARALLEL
    total = 0
    for node in graph.nodes:
        if node.op == "matmul" and varies[node] >= least:
            rows, columns = graph.shapes[node.args[0]]
            total += 2 * sizes[rows] * sizes[columns]
    return total

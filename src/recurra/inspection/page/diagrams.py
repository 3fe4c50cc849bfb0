"""The drawing of a cell that a page animates."""

from __future__ import annotations

from recurra.graph import Graph
from recurra.inspection.diagram import draw


def cell_diagram(graph: Graph) -> str:
    """SVG text with `data-value` on its nodes, `data-from` and `data-to` on its lines."""
    return draw(graph, theme="light")

"""The drawing of a cell that a page animates."""

from __future__ import annotations

from recurra.graph import Graph


def cell_diagram(graph: Graph) -> str:
    """SVG text with `data-value` on its nodes; empty where there is no drawing."""
    return ""

"""The cell drawn, from its graph alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra import cells
from recurra.graph import Cell, Graph
from recurra.inspection.diagram.layout import Layout
from recurra.inspection.diagram.layout import layout as _layout
from recurra.inspection.diagram.reduction import reduce
from recurra.inspection.diagram.svg import svg

__all__ = ["draw", "place"]


def place(cell: str | Cell | Graph | Callable[..., Any]) -> Layout:
    """The diagram of a cell with coordinates, as data."""
    graph = cell if isinstance(cell, Graph) else cells.get(cell).graph
    return _layout(reduce(graph))


def draw(
    cell: str | Cell | Graph | Callable[..., Any],
    unroll: int = 1,
    *,
    interiors: str = "all",
    theme: str = "auto",
) -> str:
    """A cell as SVG text."""
    return svg(place(cell), unroll, interiors == "all", theme)

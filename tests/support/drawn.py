"""Layouts of cells, each made once, and geometry that the drawing code does not share."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from recurra.inspection.diagram import Layout, place

Piece = tuple[float, float, float, float]  # left, top, right, bottom


@cache
def placed(name: str) -> Layout:
    """The layout of a published cell."""
    return place(name)


def rectangles(layout: Layout) -> dict[str, Piece]:
    """What the nodes cover that are seen inside the cell."""
    return {
        key: (b.x - b.half_width, b.y - b.half_height, b.x + b.half_width, b.y + b.half_height)
        for key, b in layout.boxes.items()
        if b.half_width
    }


def pieces(layout: Layout) -> Iterator[tuple[str, str, Piece]]:
    """(source, target, piece) of every straight piece of every line."""
    for line in layout.lines:
        for (x0, y0), (x1, y1) in pairwise(line.points):
            piece = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
            yield line.edge.source, line.edge.target, piece


def overlap(a: Piece, b: Piece, apart: float = 0.0) -> bool:
    """Whether two rectangles share more than a side, or are closer than `apart`."""
    return (
        a[0] - apart < b[2] and b[0] - apart < a[2] and a[1] - apart < b[3] and b[1] - apart < a[3]
    )

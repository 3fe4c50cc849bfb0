"""Words in a diagram: how wide they are without a font, and where names find room on the lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from recurra.inspection.diagram.wording import parts

if TYPE_CHECKING:
    from recurra.inspection.diagram.layout import Layout

SIZE = 17.0  # pixels of a letter
BELOW = 0.7  # of a subscript, for one of its letter
_NARROW, _WIDE = frozenset("ijlft()[]|,.·−+1I "), frozenset("mwMWφ×ΣΦ")
_GAP = 4.0  # pixels between a name and its line

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom


def width(label: str, size: float = SIZE) -> float:
    """About how many pixels a label takes."""
    if label.startswith("weight:"):
        return name_width(label.removeprefix("weight:"), "", size)
    return sum(0.36 if c in _NARROW else 0.78 if c in _WIDE else 0.52 for c in label) * size


def name_width(name: str, time: str = "t", size: float = SIZE) -> float:
    """About how many pixels a name takes with its subscripts."""
    base, below = parts(name, time)
    return width(base, size) + width(below, size * BELOW)


def names_on_lines(layout: Layout, time: str = "t") -> dict[str, tuple[float, float]]:
    """For every named value inside the cell the place of its name: left end, baseline.

    A state or output has its name outside, where its line ends. The first place beside the lines is
    taken where it covers nothing, or the one that covers least.

    Args:
        layout: of the cell.
        time: the longest subscript that the names will have.
    """
    taken = [
        (b.x - b.half_width, b.y - b.half_height, b.x + b.half_width, b.y + b.half_height)
        for b in layout.boxes.values()
        if b.half_width
    ]
    for line in layout.lines:
        taken += [
            (min(x0, x1) - 2, min(y0, y1) - 2, max(x0, x1) + 2, max(y0, y1) + 2)
            for (x0, y0), (x1, y1) in pairwise(line.points)
        ]
    places = {}
    readers = layout.diagram.readers
    ends = {
        key: [r for r in readers[key] if r.startswith(("after:", "output:"))] for key in readers
    }
    for key, box in layout.boxes.items():
        outside = {layout.boxes[reader].node.value for reader in ends[key]}
        if not box.half_width or not box.node.value or box.node.value in outside:
            continue
        wide = name_width(box.node.value, time)
        found = [*_beside(layout, key, wide)]
        inside = [
            r for r in found if r[0] > 2 and r[2] < layout.width - 2 and 2 < r[1] < layout.height
        ]
        best = min(inside or found, key=lambda r: _covered(r, taken))
        places[key] = (best[0], best[3] - 0.3 * SIZE)
        taken.append(best)
    return places


def _beside(layout: Layout, key: str, wide: float) -> Iterator[Rectangle]:
    """Places for the name of a node, the best first: where its lines begin, then further on."""
    pieces = [
        piece
        for line in layout.lines
        if line.edge.source == key
        for piece in list(pairwise(line.points))[:2]
    ]
    box, high = layout.boxes[key], 1.1 * SIZE
    for (x0, y0), (x1, y1) in pieces:
        if x0 == x1:
            step = -1 if y1 < y0 else 1
            for far in (13.0, 22.0, 34.0):
                if far < abs(y1 - y0) + 6:
                    y = y0 + step * far
                    yield x0 + _GAP, y - high / 2, x0 + _GAP + wide, y + high / 2
                    yield x0 - _GAP - wide, y - high / 2, x0 - _GAP, y + high / 2
        else:
            step = -1 if x1 < x0 else 1
            for far in (_GAP, 18.0, 34.0):
                x = x0 + step * far - (wide if step < 0 else 0)
                yield x, y0 - high - 1, x + wide, y0 - 1
                yield x, y0 + 1, x + wide, y0 + high + 1
    across, up = box.half_width, box.half_height
    for x in (box.x + across * 0.6, box.x - across * 0.6 - wide):
        yield x, box.y - up - high, x + wide, box.y - up
        yield x, box.y + up, x + wide, box.y + up + high


def _covered(place: Rectangle, taken: Iterable[Rectangle]) -> float:
    """How much of a place is taken already."""
    left, top, right, bottom = place
    return sum(
        max(0.0, min(right, r) - max(left, x)) * max(0.0, min(bottom, b) - max(top, y))
        for x, y, r, b in taken
    )

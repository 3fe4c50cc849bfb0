"""The strokes of a diagram: lines with rounded corners, arrows, and gaps where lines cross."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from recurra.inspection.diagram.layout import Layout, Line

Place = tuple[float, float]

RADIUS = 9.0  # pixels, of a corner
STUB = 46.0  # pixels of a line outside the cell
CIRCLE = 19.0  # pixels, radius of an input or output
HEAD = 7.0  # pixels, length of an arrow
_GAP = 5.0  # pixels on both sides of a crossing


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{round(value, 1) + 0.0:g}"


def at(place: Place) -> str:
    """A point, short."""
    return f"{number(place[0])} {number(place[1])}"


def extended(layout: Layout, line: Line) -> list[Place]:
    """The corners of a line with its stub outside the cell; what joins goes on with the others."""
    points = list(line.points)
    first, last = layout.boxes[line.edge.source].node, layout.boxes[line.edge.target].node
    (x0, y0), (x1, y1) = points[0], points[-1]
    if first.kind in ("before", "input"):
        points[0] = (x0 - STUB, y0) if first.kind == "before" else (x0, y0 + STUB - CIRCLE)
    if last.kind in ("after", "output"):
        points[-1] = (x1 + STUB, y1) if last.kind == "after" else (x1, y1 - STUB + CIRCLE)
    if last.kind == "join":
        points.append((x1 + RADIUS, y1))
    return points


def path(points: Sequence[Place]) -> str:
    """The data of a line through corners, rounded."""
    pieces = [f"M{at(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        if before[0] == corner[0] == after[0] or before[1] == corner[1] == after[1]:
            continue
        near, far = _towards(corner, before), _towards(corner, after)
        pieces.append(f"L{at(near)}Q{at(corner)} {at(far)}")
    return "".join([*pieces, f"L{at(points[-1])}"])


def _towards(corner: Place, other: Place) -> Place:
    """The point on the way from a corner to its neighbour where the curve begins."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    far = abs(dx) + abs(dy)
    share = min(RADIUS, far / 2) / far if far else 0.0
    return corner[0] + dx * share, corner[1] + dy * share


def arrow(start: Place, end: Place) -> str:
    """The data of the arrow at the end of a straight piece."""
    (x, y), (dx, dy) = end, direction(start, end)
    back, side = (x - dx * HEAD, y - dy * HEAD), HEAD * 0.55
    corners = (
        end,
        (back[0] - dy * side, back[1] + dx * side),
        (back[0] + dy * side, back[1] - dx * side),
    )
    return f"M{'L'.join(map(at, corners))}z"


def direction(start: Place, end: Place) -> Place:
    """Where a straight piece goes, with the length 1."""
    length = abs(end[0] - start[0]) + abs(end[1] - start[1])
    return (end[0] - start[0]) / length, (end[1] - start[1]) / length


def gaps(lines: Iterable[Line], before: Iterable[Line]) -> str:
    """The data of the pieces of `lines` that cross those drawn before."""
    others = [piece for line in before for piece in pairwise(line.points)]
    found = {
        gap: None
        for line in lines
        for piece in pairwise(line.points)
        for other in others
        for gap in _crossing(piece, other)
    }
    return "".join(found)


def _crossing(piece: tuple[Place, Place], other: tuple[Place, Place]) -> Iterator[str]:
    (x0, y0), (x1, y1) = piece
    (u0, v0), (u1, v1) = other
    if y0 == y1 and u0 == u1 and _between(x0, u0, x1) and _between(v0, y0, v1):
        yield f"M{at((u0 - _GAP, y0))}h{number(2 * _GAP)}"
    if x0 == x1 and v0 == v1 and _between(y0, v0, y1) and _between(u0, x0, u1):
        yield f"M{at((x0, v0 - _GAP))}v{number(2 * _GAP)}"


def _between(one: float, middle: float, other: float) -> bool:
    return min(one, other) < middle < max(one, other)

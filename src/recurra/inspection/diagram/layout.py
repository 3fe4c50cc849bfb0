"""From a diagram to coordinates: boxes, and lines on a lattice between them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from recurra.errors import UsageError
from recurra.inspection.diagram.elements import Diagram, Edge, Node
from recurra.inspection.diagram.lettering import width
from recurra.inspection.diagram.placement import Plan, plan
from recurra.inspection.diagram.routing import (
    DOWN,
    LEFT,
    RIGHT,
    UP,
    Lattice,
    NoRoute,
    Pin,
    Point,
    Step,
)
from recurra.inspection.diagram.wiring import Job, wire

UNIT = 16.0  # pixels between two lines of the lattice
CLEAR = 8.0  # pixels between a node and a line that passes it
ATTEMPTS = 20
_MARGIN = 4  # lattice lines between the sides of the cell and its first and last column

_ENTER = {
    "gate": {UP: 0.0, RIGHT: 3.0, LEFT: 8.0, DOWN: 10.0},
    "join": {UP: 1.0, RIGHT: 0.0, DOWN: 1.0},
}
_LEAVE = {
    "gate": {UP: 0.0, RIGHT: 2.0, LEFT: 12.0, DOWN: 16.0},
    "join": {RIGHT: 0.0},
}
_ENTER_ROUND = {UP: 0.0, RIGHT: 0.0, DOWN: 0.0, LEFT: 6.0}
_LEAVE_ROUND = {UP: 0.0, RIGHT: 0.0, DOWN: 1.0, LEFT: 8.0}


@dataclass(frozen=True)
class Box:
    """The place of a node, in pixels; a port is a point on the side of the cell."""

    node: Node
    x: float
    y: float
    half_width: float = 0.0
    half_height: float = 0.0


@dataclass(frozen=True)
class Line:
    """An edge as the corners of its line, in pixels, from side to side of two boxes."""

    edge: Edge
    points: tuple[tuple[float, float], ...]
    rail: bool = False


@dataclass(frozen=True)
class Layout:
    """A cell with coordinates: x to the right and y down, in pixels, from its top left corner.

    Attributes:
        width, height: of the body of the cell.
        boxes: by the keys of the nodes.
        lines: one for each edge.
        rails: the states that run on top.
    """

    diagram: Diagram
    width: float
    height: float
    boxes: dict[str, Box]
    lines: tuple[Line, ...]
    rails: tuple[str, ...] = ()


def lay_out(diagram: Diagram) -> Layout:
    """Coordinates for a diagram: the narrowest lattice on which all lines find a way.

    Raises:
        UsageError: there is none within reason.
    """
    planned = plan(diagram)
    for extra in range(ATTEMPTS):
        try:
            return _Board(diagram, planned, extra).run()
        except NoRoute:
            continue
    raise UsageError(
        f"the lines of cell {diagram.name} find no way in a diagram. Split its longest equation "
        "into named parts."
    )


def half_size(node: Node) -> tuple[float, float]:
    """Half the width and half the height of a node, in pixels."""
    if node.kind == "gate":
        return max(23.0, ceil(width(node.label) / 2 + 9)), 17.0
    if node.kind in ("product", "sum", "operator", "function"):
        text = width(node.label) / 2
        return (13.0, 13.0) if text <= 8 else (ceil(text + 8), 13.0)
    return 0.0, 0.0


class _Board:
    """One attempt: nodes on a lattice of a certain width, then one line after another."""

    def __init__(self, diagram: Diagram, planned: Plan, extra: int) -> None:
        self.diagram, self.plan, self.extra = diagram, planned, extra
        self.ring: dict[str, Point] = {key: self.ring_of(key) for key in diagram.nodes}
        self.at: dict[str, Point] = {}
        self.lines: dict[Edge, Line] = {}
        self.size = self.place()

    def ring_of(self, key: str) -> Point:
        """How many lattice lines a node takes on each side of its own."""
        node = self.diagram.nodes[key]
        if node.kind == "join":
            return 1, 1
        if node.kind in ("input", "before", "after", "output"):
            return 0, 0
        across, up = half_size(node)
        return max(1, _lines(across)), max(1, _lines(up))

    def place(self) -> Point:
        """Give every node its point; returns the size of the lattice."""
        xs = self.columns()
        ys, tracks = self.rows()
        right = max(xs.values(), default=_MARGIN) + _MARGIN + 2
        for key, column in self.plan.column.items():
            if key in self.plan.row:
                self.at[key] = (xs[column], ys[self.plan.row[key]])
        bottom = self.place_low(xs, ys[0], tracks)
        for state in self.diagram.states:
            keys = self.plan.rails.get(state)
            y = ys[self.plan.row[keys[0]]] if keys else tracks[state]
            self.at[f"before:{state}"] = (0, y)
            self.at[f"after:{state}"] = (right, y)
        for key, node in self.diagram.nodes.items():
            if node.kind == "input":
                self.at[key] = (xs[self.plan.column[key]], bottom)
            elif node.kind == "output":
                self.at[key] = (right - 2, 0)
        return right, bottom

    def columns(self) -> dict[int, int]:
        """The lattice line of each column."""
        rings: dict[int, int] = {}
        for key, column in self.plan.column.items():
            rings[column] = max(rings.get(column, 0), self.ring[key][0])
        xs: dict[int, int] = {}
        x, before = _MARGIN, 0
        for column in sorted(rings):
            x += rings[column] + before + (3 + self.extra if xs else 0)
            xs[column], before = x, rings[column]
        return xs

    def rows(self) -> tuple[dict[int, int], dict[str, int]]:
        """The lattice line of each row, and of each state that runs along the bottom."""
        top = self.plan.height + len(self.plan.rails)
        pitch = 4 + self.extra // 2
        ys = {row: 3 + (top - row) * pitch + (row == 0 < top) for row in range(top + 1)}
        low = [state for state in self.diagram.states if state not in self.plan.rails]
        first = ys[0] + 3 + self.extra
        return ys, {state: first + k * (2 + self.extra // 2) for k, state in enumerate(low)}

    def place_low(self, xs: dict[int, int], gates: int, tracks: dict[str, int]) -> int:
        """Places for the joins under the gates; returns the lower side of the cell."""
        free = max(tracks.values(), default=gates + 1 + self.extra) + 2
        used: set[str] = set()
        for key, column in self.plan.column.items():
            if self.diagram.kind(key) != "join":
                continue
            states = (op.removeprefix("before:") for op in self.diagram.operands[key])
            own = next((s for s in states if s in tracks and s not in used), None)
            self.at[key] = (xs[column], tracks[own] if own else free)
            used |= {own} if own else set()
            free += 0 if own else 2 + self.extra // 2
        inputs = sum(node.kind == "input" for node in self.diagram.nodes.values())
        return free + max(1, inputs) + self.extra

    def run(self) -> Layout:
        blocked: dict[Point, str] = {}
        for key, (x, y) in self.at.items():
            across, up = self.ring[key]
            if self.diagram.kind(key) == "join":
                around = [(x, y), (x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)]
                blocked |= dict.fromkeys(around, key)
            elif across:
                spots = (
                    (x + i, y + j) for i in range(-across, across + 1) for j in range(-up, up + 1)
                )
                blocked |= dict.fromkeys(spots, key)
        lattice = Lattice(self.size, blocked)
        jobs = [
            Job(e, tuple(self.pins(e.source, e, True)), tuple(self.pins(e.target, e, False)))
            for e in sorted(self.diagram.edges, key=self.urgency)
        ]
        fixed = [edge for edge in self.diagram.edges if self.on_rail(edge)]
        for edge, path in wire(lattice, jobs, fixed).items():
            self.lines[edge] = Line(edge, self.pixels(edge, path), edge in fixed)
        boxes = {key: self.box(key) for key in self.diagram.nodes}
        width, height = self.size[0] * UNIT, self.size[1] * UNIT
        lines = tuple(self.lines[edge] for edge in self.diagram.edges)
        return Layout(self.diagram, width, height, boxes, lines, tuple(self.plan.rails))

    def on_rail(self, edge: Edge) -> bool:
        """Whether a line is part of a rail."""
        for state, keys in self.plan.rails.items():
            if (edge.source, edge.target) in pairwise((f"before:{state}", *keys, f"after:{state}")):
                return True
        return False

    def urgency(self, edge: Edge) -> tuple[int, int]:
        """Rails first, then lines that join, then the others, the short ones first."""
        (x0, y0), (x1, y1) = self.at[edge.source], self.at[edge.target]
        kinds = self.diagram.kind(edge.source), self.diagram.kind(edge.target)
        if kinds == ("before", "after"):  # a delay line: the upper ones turn further to the right
            return 0, y1
        first = 0 if self.on_rail(edge) else 1 if kinds[1] == "join" else 2
        return first, abs(x1 - x0) + abs(y1 - y0)

    def pins(self, key: str, edge: Edge, leaving: bool) -> list[Pin]:
        """Where a line may leave or enter a node."""
        kind, (x, y) = self.diagram.kind(key), self.at[key]
        across, up = self.ring[key]
        if kind in ("before", "after"):
            return [Pin((x, y), RIGHT)]
        if kind in ("input", "output"):
            return [Pin((x, y), UP)]
        table = (_LEAVE if leaving else _ENTER).get(kind, _LEAVE_ROUND if leaving else _ENTER_ROUND)
        if self.on_rail(edge):
            table = {RIGHT: 0.0}
        elif kind == "gate" and not leaving and edge.weighted:
            table = {UP: 0.0, RIGHT: 10.0}
        found = []
        for step, cost in table.items():
            sign = 1 if leaving else -1
            point = (x + sign * step[0] * across, y + sign * step[1] * up)
            found.append(Pin(point, step, cost))
            if kind == "gate" and not leaving and step == UP:
                reach = min(across, 1)
                found += [Pin((point[0] + i, point[1]), step, cost + 1.5) for i in (-reach, reach)]
        return found

    def pixels(self, edge: Edge, path: list[Point]) -> tuple[tuple[float, float], ...]:
        """The corners of a line, from side to side of the nodes."""
        points = [(x * UNIT, y * UNIT) for x, y in path]
        first, last = self.box(edge.source), self.box(edge.target)
        lead = _side(first, points[0], self.heading(path, 0, first))
        end = _side(last, points[-1], self.heading(path, -1, last))
        return _corners([lead, *points, end])

    def heading(self, path: list[Point], end: int, box: Box) -> Step:
        """From the middle of a node to the end of a line: on which side it is."""
        (x, y), (across, up) = self.at[box.node.key], self.ring[box.node.key]
        px, py = path[end]
        if abs(px - x) == across and (abs(py - y) < up or (py == y and across)):
            return (1, 0) if px > x else (-1, 0)
        return (0, 1) if py > y else (0, -1)

    def box(self, key: str) -> Box:
        x, y = self.at[key]
        return Box(self.diagram.nodes[key], x * UNIT, y * UNIT, *half_size(self.diagram.nodes[key]))


def _lines(half: float) -> int:
    """How many lattice lines are within reach of half a node."""
    return -int(-(half + CLEAR) // UNIT) - 1


def _side(box: Box, point: tuple[float, float], side: Step) -> tuple[float, float]:
    """Where a line meets the side of a box."""
    if box.half_width == 0:
        return box.x, box.y
    if side[0]:
        return box.x + side[0] * box.half_width, point[1]
    return point[0], box.y + side[1] * box.half_height


def _corners(points: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The points without those in the middle of a straight piece."""
    kept: list[tuple[float, float]] = []
    for point in points:
        if kept and point == kept[-1]:
            continue
        while len(kept) > 1 and _straight(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return tuple(kept)


def _straight(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (a[0] == b[0] == c[0]) or (a[1] == b[1] == c[1])

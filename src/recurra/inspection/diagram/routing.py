"""Lines between the nodes: on a lattice, around every node, with few bends and crossings.

The lines of one value form a tree, those of two values cross at right angles only. Found line by
line with A* (Hart, Nilsson & Raphael 1968); points where a line turns or forks are crossed by none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, pairwise

Point = tuple[int, int]
Step = tuple[int, int]
RIGHT, LEFT, UP, DOWN = (1, 0), (-1, 0), (0, -1), (0, 1)
STEPS = (RIGHT, LEFT, UP, DOWN)

BEND, CROSSING, BACKWARD, SHARED, NEW_PIN = 4.0, 5.0, 1.5, 0.15, 5.0


@dataclass(frozen=True)
class Pin:
    """A point of the lattice where lines leave or enter a node, in one direction, at a cost."""

    point: Point
    step: Step
    cost: float = 0.0


class NoRoute(Exception):  # noqa: N818  (answered by a wider lattice, never shown)
    """There is no way left for a line on this lattice."""


@dataclass
class Lattice:
    """The points where lines may run, and the lines that are there.

    Attributes:
        size: lines run at 0 <= x <= size[0], 0 <= y <= size[1].
        blocked: points that belong to a node.
    """

    size: Point
    blocked: Mapping[Point, str]
    _along: tuple[dict[Point, str], dict[Point, str]] = field(default_factory=lambda: ({}, {}))
    _trees: dict[str, dict[Point, set[Step]]] = field(default_factory=dict)

    def route(self, net: str, starts: Iterable[Pin], goals: Iterable[Pin]) -> list[Point]:
        """The points of a new line of `net`, from one of `starts` to one of `goals`.

        Raises:
            NoRoute: there is none.
        """
        ends = {(pin.point, pin.step): pin.cost for pin in goals}
        path = self._search(net, list(starts), ends)
        self.put(net, path)
        return path

    def _search(
        self, net: str, starts: list[Pin], ends: Mapping[tuple[Point, Step], float]
    ) -> list[Point]:
        tree = self._trees.get(net, {})
        x0, x1 = min(p[0] for p, _ in ends), max(p[0] for p, _ in ends)
        y0, y1 = min(p[1] for p, _ in ends), max(p[1] for p, _ in ends)
        order = count()
        heap: list[tuple[float, int, float, Point, Step, bool]] = []
        came: dict[tuple[Point, Step, bool], tuple[Point, Step, bool] | None] = {}
        best: dict[tuple[Point, Step, bool], float] = {}

        def push(
            cost: float, state: tuple[Point, Step, bool], parent: tuple[Point, Step, bool] | None
        ) -> None:
            if cost < best.get(state, float("inf")):
                best[state], came[state] = cost, parent
                x, y = state[0]
                rest = max(x0 - x, 0, x - x1) + max(y0 - y, 0, y - y1)
                shared = SHARED if state[2] else 1.0
                heappush(heap, (cost + rest * shared, next(order), cost, *state))

        for pin in starts:
            used = pin.point in tree
            if used or self._is_free(net, pin.point, pin.step):
                push(
                    pin.cost + (NEW_PIN if tree and not used else 0),
                    (pin.point, pin.step, used),
                    None,
                )
        while heap:
            _, _, cost, point, step, shared = heappop(heap)
            state = (point, step, shared)
            if cost > best[state]:
                continue
            if point == _END:
                return _way(came, state)
            if (point, step) in ends and not shared:
                push(cost + ends[point, step], (_END, step, False), state)
            for new, price, then in self._moves(net, tree, state, ends):
                push(cost + price, (new, then, _on(tree, point, then, shared)), state)
        raise NoRoute(net)

    def _moves(
        self,
        net: str,
        tree: Mapping[Point, set[Step]],
        state: tuple[Point, Step, bool],
        ends: Mapping[tuple[Point, Step], float],
    ) -> Iterable[tuple[Point, float, Step]]:
        """(next point, its cost, direction) of every step that may follow."""
        point, step, shared = state
        for then in STEPS:
            if then == (-step[0], -step[1]):
                continue
            new = (point[0] + then[0], point[1] + then[1])
            bend = BEND if then != step else 0.0
            if _on(tree, point, then, shared):
                yield new, SHARED + bend * 0.25, then
                continue
            if bend or shared:
                across = (
                    self._along[1 - _axis(then)].get(point),
                    self._along[_axis(then)].get(point),
                )
                if any(owner not in (None, net) for owner in across):
                    continue
            if self._is_closed(net, new, then, ends):
                continue
            crossing = self._along[1 - _axis(then)].get(new)
            price = 1.0 + bend + (CROSSING if crossing else 0.0)
            yield new, price + (BACKWARD if then == LEFT else 0.0), then

    def _is_closed(
        self, net: str, point: Point, step: Step, ends: Mapping[tuple[Point, Step], float]
    ) -> bool:
        """Whether a line of `net` must not come to `point`."""
        is_end = (point, step) in ends
        if not is_end:
            inside = 0 < point[0] < self.size[0] and 0 < point[1] < self.size[1]
            if not inside or point in self.blocked:
                return True
        along, across = self._along[_axis(step)], self._along[1 - _axis(step)]
        if point in along:
            return True
        owner = across.get(point)
        return owner is not None and (owner == net or is_end)

    def _is_free(self, net: str, point: Point, step: Step) -> bool:
        return all(along.get(point, net) == net for along in self._along)

    def put(self, net: str, path: list[Point]) -> None:
        """Lay a line."""
        tree = self._trees.setdefault(net, {path[0]: set()})
        tree.setdefault(path[0], set())
        before: Step | None = None
        for a, b in pairwise(path):
            step = (b[0] - a[0], b[1] - a[1])
            tree.setdefault(a, set()).add(step)
            tree.setdefault(b, set())
            for point in (a, b):
                self._along[_axis(step)][point] = net
            if before is not None and before != step:
                self._along[1 - _axis(step)][a] = net
            before = step
        for point in (path[0], path[-1]):
            for along in self._along:
                along[point] = net

    def take(self, net: str) -> None:
        """Take up all lines of a net."""
        for point in self._trees.pop(net, {}):
            for along in self._along:
                if along.get(point) == net:
                    del along[point]

    def price(self, net: str) -> float:
        """What the lines of a net cost: length, turns, crossings, steps back in time."""
        tree = self._trees[net]
        into: dict[Point, Step] = {}
        total = 0.0
        for point, steps in tree.items():
            for step in steps:
                into[point[0] + step[0], point[1] + step[1]] = step
                total += 1.0 + (BACKWARD if step == LEFT else 0.0)
        for point, steps in tree.items():
            total += BEND * sum(point in into and step != into[point] for step in steps)
            total += CROSSING * any(along.get(point, net) != net for along in self._along)
        return total


_END = (-1, -1)


def _axis(step: Step) -> int:
    """0 for a horizontal step, 1 for a vertical one."""
    return 0 if step[1] == 0 else 1


def _on(tree: Mapping[Point, set[Step]], point: Point, step: Step, shared: bool) -> bool:
    """Whether a step goes along a line that the net has already."""
    return shared and step in tree.get(point, ())


def _way(
    came: Mapping[tuple[Point, Step, bool], tuple[Point, Step, bool] | None],
    state: tuple[Point, Step, bool],
) -> list[Point]:
    path: list[Point] = []
    at = came[state]
    while at is not None:
        path.append(at[0])
        at = came[at]
    return path[::-1]

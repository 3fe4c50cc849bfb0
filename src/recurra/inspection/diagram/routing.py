"""Lines between the nodes: on a lattice, around every node, with few bends and crossings.

The lines of one value form a tree, those of two values cross at right angles only. Found line by
line with A* (Hart, Nilsson & Raphael 1968); points where a line turns or forks are crossed by none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise

Point = tuple[int, int]
Step = tuple[int, int]
RIGHT, LEFT, UP, DOWN = (1, 0), (-1, 0), (0, -1), (0, 1)
STEPS = (RIGHT, LEFT, UP, DOWN)

BEND, CROSSING, BACKWARD, SHARED, NEW_PIN = 4.0, 5.0, 1.5, 0.15, 5.0
LATE = 1e-4  # less for every step further to the right, so that equal ways are not
_FAR = float("inf")
# For each direction (its place in STEPS) those that may follow: all but the way back.
_NEXT = ((0, 2, 3), (1, 2, 3), (0, 1, 2), (0, 1, 3))
_FREE = 0  # the number of no net


@dataclass(frozen=True)
class Pin:
    """A point of the lattice where lines leave or enter a node, in one direction, at a cost."""

    point: Point
    step: Step
    cost: float = 0.0


class NoRoute(Exception):  # noqa: N818  (answered by a wider lattice, never shown)
    """There is no way left for a line on this lattice."""


class Lattice:
    """The points where lines may run, and the lines that are there.

    A point is a number, row by row. For both axes a list says which net runs along it there; where
    a line turns, forks or ends, its net has both.
    """

    def __init__(self, size: Point, blocked: Iterable[Point]) -> None:
        """Lines run inside of `size`, and touch the border and `blocked` points only at pins."""
        self.width, height = size[0] + 1, size[1] + 1
        self.count = self.width * height
        self.deltas = (1, -1, -self.width, self.width)
        self.closed = bytearray(self.count)
        for x in range(self.width):
            self.closed[x] = self.closed[self.count - 1 - x] = 1
        for y in range(height):
            self.closed[y * self.width] = self.closed[(y + 1) * self.width - 1] = 1
        for point in blocked:
            self.closed[self.number(point)] = 1
        self.along = ([_FREE] * self.count, [_FREE] * self.count)
        self.nets: dict[str, int] = {}
        self.trees: dict[int, dict[int, int]] = {}  # point -> bits of the directions that leave it

    def number(self, point: Point) -> int:
        """The number of a point."""
        return point[1] * self.width + point[0]

    def route(self, net: str, starts: Iterable[Pin], goals: Iterable[Pin]) -> list[Point]:
        """The points of a new line of `net`, from one of `starts` to one of `goals`.

        Raises:
            NoRoute: there is none.
        """
        own = self.nets.setdefault(net, len(self.nets) + 1)
        ends = {self.number(p.point) << 2 | STEPS.index(p.step): p.cost for p in goals}
        points = self._search(own, list(starts), ends)
        path = [(point % self.width, point // self.width) for point in points]
        self.put(net, path)
        return path

    def _search(self, own: int, starts: list[Pin], ends: Mapping[int, float]) -> list[int]:
        """A*; a state is a point, the direction of the last step, and whether it was shared."""
        tree = self.trees.get(own, {})
        rest = self._rest(ends)
        best = [_FAR] * (self.count << 3)
        came: dict[int, int] = {}
        heap: list[tuple[float, int, float]] = []
        for pin in starts:
            point, used = self.number(pin.point), self.number(pin.point) in tree
            if used or all(along[point] in (_FREE, own) for along in self.along):
                state = point << 3 | STEPS.index(pin.step) << 1 | used
                best[state] = pin.cost + (NEW_PIN if tree and not used else 0.0)
                heappush(heap, (best[state] + rest(state), state, best[state]))
        while heap:
            _, state, cost = heappop(heap)
            if state < 0:
                return _way(came, ~state)
            if cost > best[state]:
                continue
            if not state & 1 and state >> 1 in ends:
                heappush(heap, (cost + ends[state >> 1], ~state, cost))
            for new, price in self._moves(own, tree, state, ends):
                total = cost + price
                if total < best[new]:
                    best[new], came[new] = total, state
                    heappush(heap, (total + rest(new), new, total))
        raise NoRoute

    def _rest(self, ends: Mapping[int, float]) -> _Rest:
        xs = [(end >> 2) % self.width for end in ends]
        ys = [(end >> 2) // self.width for end in ends]
        return _Rest(self.width, min(xs), max(xs), min(ys), max(ys))

    def _moves(
        self, own: int, tree: Mapping[int, int], state: int, ends: Mapping[int, float]
    ) -> Iterator[tuple[int, float]]:
        """(next state, price) of every step that may follow."""
        point, step, shared = state >> 3, state >> 1 & 3, state & 1
        bits = tree.get(point, 0) if shared else 0
        here = self.along[0][point], self.along[1][point]
        for then in _NEXT[step]:
            turns = then != step
            new = point + self.deltas[then]
            if bits >> then & 1:
                yield new << 3 | then << 1 | 1, SHARED + (BEND * 0.25 if turns else 0.0)
                continue
            if (turns or shared) and not (here[0] in (_FREE, own) and here[1] in (_FREE, own)):
                continue
            if not 0 <= new < self.count:
                continue
            is_end = (new << 2 | then) in ends
            across = self.along[then < 2][new]
            if (self.closed[new] and not is_end) or self.along[then > 1][new] != _FREE:
                continue
            if across == own:
                continue
            price = 1.0 + (CROSSING if across else 0.0)
            if turns:  # rather late than early
                price += BEND - LATE * (point % self.width)
            yield new << 3 | then << 1, price + (BACKWARD if then == 1 else 0.0)

    def put(self, net: str, path: list[Point]) -> None:
        """Lay a line."""
        own = self.nets.setdefault(net, len(self.nets) + 1)
        tree = self.trees.setdefault(own, {})
        tree.setdefault(self.number(path[0]), 0)
        for a, b in pairwise(path):
            then = STEPS.index((b[0] - a[0], b[1] - a[1]))
            start, end = self.number(a), self.number(b)
            tree[start] |= 1 << then
            tree.setdefault(end, 0)
            self.along[then > 1][start] = self.along[then > 1][end] = own
        for point in (path[0], path[-1]):
            for along in self.along:
                along[self.number(point)] = own

    def take(self, net: str) -> None:
        """Take up all lines of a net."""
        own = self.nets[net]
        for point in self.trees.pop(own, {}):
            for along in self.along:
                if along[point] == own:
                    along[point] = _FREE

    def price(self, net: str) -> float:
        """What the lines of a net cost: length, turns, crossings, steps back in time."""
        own = self.nets[net]
        leaving = [
            (point, then)
            for point, bits in self.trees[own].items()
            for then in range(4)
            if bits >> then & 1
        ]
        into = {point + self.deltas[then]: then for point, then in leaving}
        turns = sum(into.get(point, then) != then for point, then in leaving)
        back = sum(then == 1 for _, then in leaving)
        crossings = sum(
            any(along[point] not in (_FREE, own) for along in self.along)
            for point in self.trees[own]
        )
        return len(leaving) + BEND * turns + BACKWARD * back + CROSSING * crossings


@dataclass(frozen=True)
class _Rest:
    """A lower bound of what is left to the box around all goals: steps, and turns to make."""

    width: int
    left: int
    right: int
    top: int
    bottom: int

    def __call__(self, state: int) -> float:
        y, x = divmod(state >> 3, self.width)
        dx = self.left - x if x < self.left else x - self.right if x > self.right else 0
        dy = self.top - y if y < self.top else y - self.bottom if y > self.bottom else 0
        if state & 1:
            return (dx + dy) * SHARED
        level = not state >> 1 & 2
        turns = (dx and dy) or (dx and not level) or (dy and level)
        return dx + dy + (BEND if turns else 0.0)


def _way(came: Mapping[int, int], state: int) -> list[int]:
    path = [state >> 3]
    while state in came:
        state = came[state]
        path.append(state >> 3)
    return path[::-1]

"""The tables of all parts of a call, made once and filled in with addresses for each call."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.backends.cpu import parts, sums, threads

_SHEET, _WAITING = 0, 1  # bases that every call has: the sheet itself, and where its team waits
_WORTH = 2**15  # numbers of a sum from which threads share it
GIVEN = 2  # the first base of a call's own


class Span(NamedTuple):
    """Where a sequence or state lies, in numbers from the beginning of a base.

    Attributes:
        base: number of the memory.
        start: numbers before it.
        shape: of the tensor.
        strides: numbers from one to the next, in each dimension.
    """

    base: int
    start: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, base: int, shape: Sequence[int], strides: Sequence[int] | None = None) -> Span:
        """A whole base; without strides, one number after another."""
        return cls(base, 0, tuple(shape), tuple(strides or _contiguous(shape)))

    def columns(self, first: int, count: int) -> Span:
        """Some of the numbers of every row."""
        start = self.start + first * self.strides[-1]
        return Span(self.base, start, (*self.shape[:-1], count), self.strides)

    def split(self, counts: Sequence[int]) -> list[Span]:
        """The numbers of every row in parts of these sizes."""
        firsts = accumulate((0, *counts))
        return [self.columns(first, count) for first, count in zip(firsts, counts, strict=False)]

    def since(self, first: int, dimension: int = 0) -> Span:
        """What follows the first few of a dimension."""
        shape = list(self.shape)
        shape[dimension] -= first
        return Span(
            self.base, self.start + first * self.strides[dimension], tuple(shape), self.strides
        )

    def before(self, last: int, dimension: int = 0) -> Span:
        """All but the last few of a dimension."""
        shape = list(self.shape)
        shape[dimension] -= last
        return Span(self.base, self.start, tuple(shape), self.strides)

    def mirrored(self) -> Span:
        """Rows as columns."""
        return Span(self.base, self.start, self.shape[::-1], self.strides[::-1])

    def as_row(self) -> Span:
        """A vector as a matrix of one row."""
        return Span(self.base, self.start, (1, *self.shape), (self.shape[0], *self.strides))

    def flat(self) -> Span:
        """Rows of all steps under one another, equally far apart."""
        (steps, rows, width), (step, row, one) = self.shape, self.strides
        if rows == 1:
            row = step
        elif steps > 1 and step != rows * row:
            raise ValueError(f"steps are {step} numbers apart, which is not {rows} rows of {row}")
        return Span(self.base, self.start, (steps * rows, width), (row, one))

    def merged(self, leading: int | None) -> Span:
        """The dimensions behind the first ones as a single one; None: as it is."""
        if leading is None or len(self.shape) <= leading + 1:
            return self
        shape = (*self.shape[:leading], math.prod(self.shape[leading:]))
        return Span(self.base, self.start, shape, (*self.strides[:leading], self.strides[-1]))

    def at(self, number: int) -> Span:
        """One of the first dimension."""
        start = self.start + number * self.strides[0]
        return Span(self.base, start, self.shape[1:], self.strides[1:])


def _contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    strides, step = [], 1
    for count in reversed(shape):
        strides.append(step)
        step *= max(count, 1)
    return tuple(reversed(strides))


class Sheet:
    """What the parts of a call read: numbers that stay, and addresses that each call has its own.

    Addresses are given as the number of a base (a tensor, a piece of work memory) and the numbers
    or bytes from its beginning.

    Args:
        size: bytes of a number.
        bases: how many each call brings; pieces of work memory follow them.

    Attributes:
        work: bytes of each piece of work memory.
        numbers: the sheet, without the addresses that each call has its own.
        moves: where such an address goes: (place, base, bytes from its beginning).
        parts: what each does, its function, the place of its table, how many threads share it.
        yields: the address of sched_yield; 0 where there is none.
    """

    def __init__(self, size: int, bases: int) -> None:
        self.size = size
        self.work: list[int] = []
        self._first_work = GIVEN + bases
        self.numbers = [0] * len(parts.HEAD)
        self.moves: list[tuple[int, int, int]] = []
        self.parts: list[tuple[str, int, int, int]] = []
        self._kept: list[object] = []
        self.yields = parts.sched_yield()
        self.put(parts.HEAD.index("yield"), self.yields)
        self.address(parts.HEAD.index("waiting"), _WAITING)

    def table(self, count: int) -> int:
        """Room for a table of so many numbers: the place of the first."""
        self.numbers += [0] * count
        return len(self.numbers) - count

    def twin(self, place: int, count: int) -> int:
        """A copy of a table of so many numbers; what is entered there later does not change it."""
        at = self.table(0)
        self.numbers += self.numbers[place : place + count]
        self.moves += [
            (at + number - place, base, offset)
            for number, base, offset in self.moves
            if place <= number < place + count
        ]
        return at

    def put(self, place: int, *numbers: int) -> None:
        """Numbers that are the same in every call."""
        self.numbers[place : place + len(numbers)] = numbers

    def address(self, place: int, base: int, offset: int = 0) -> None:
        """An address, so many bytes from the beginning of a base; the last for a place counts."""
        self.moves.append((place, base, offset))

    def span(self, place: int, span: Span) -> None:
        """The address of a span."""
        self.address(place, span.base, span.start * self.size)

    def team_waits(self, place: int) -> None:
        """The address of memory in which the team of a kernel waits."""
        self.address(place, _WAITING, parts.LINES)

    def constant(self, place: int, tensor: Tensor) -> None:
        """The address of a tensor that belongs to the sheet."""
        self._kept.append(tensor)
        self.put(place, tensor.data_ptr())

    def room(self, shape: Sequence[int]) -> Span:
        """A piece of work memory for numbers."""
        self.work.append(math.prod(shape) * self.size)
        return Span.of(self._first_work + len(self.work) - 1, shape)

    def part(self, does: str, share: int, table: int, most: int) -> None:
        """One more part; see `parts`."""
        self.parts.append((does, share, table, most))

    def copy(self, to: Span, source: Span, which: int = 0) -> None:
        """One more part: rows of numbers that stand side by side, from one place to another.

        `which` is the address of the numbers of the rows that are read; 0: all, in their order.
        """
        rows, width = to.shape
        if not rows * width:
            return
        at = self.table(len(parts.ROWS))
        fields = dict(zip(parts.ROWS, range(at, at + len(parts.ROWS)), strict=True))
        for name, span in (("to", to), ("source", source)):
            self.span(fields[name], span)
            self.put(fields[f"{name}_row"], span.strides[0] * self.size)
        self.put(fields["which"], which, rows, width * self.size)
        self.part("copy", parts.copy_rows(), at, 1)

    def sum_rows(self, to: Span, source: Span) -> None:
        """One more part: the sum over all rows (N, size), at least one of them, at a place."""
        rows, columns = source.shape
        at = self.table(len(sums.FIELDS))
        fields = dict(zip(sums.FIELDS, range(at, at + len(sums.FIELDS)), strict=True))
        self.span(fields["to"], to)
        self.span(fields["source"], source)
        self.put(fields["row"], source.strides[0], rows, sums.piece_of(rows), columns)
        most = torch.get_num_threads() if rows * columns > _WORTH else 1
        self.part("sum", sums.sum_rows(8 * self.size), at, most)

    def close(self) -> None:
        """No more parts."""
        at = self.table(len(parts.PART) * len(self.parts))
        self.put(parts.HEAD.index("count"), len(self.parts))
        self.address(parts.HEAD.index("parts"), _SHEET, 8 * at)
        for number, (_, share, table, most) in enumerate(self.parts):
            place = at + number * len(parts.PART)
            self.put(place, share, 0, most)
            self.address(place + 1, _SHEET, 8 * table)
        self.team = max((most for *_, most in self.parts), default=1)
        moves = {move[0]: move for move in self.moves}
        self._moves = (ctypes.c_int64 * (3 * len(moves)))(*chain.from_iterable(moves.values()))
        self._blank = (ctypes.c_int64 * len(self.numbers))(*self.numbers)
        self._bases = ctypes.c_int64 * (self._first_work + len(self.work))
        here = map(ctypes.addressof, (self._blank, self._moves))
        self._closed = (ctypes.c_int64 * len(parts.CLOSED))(
            *here, 8 * len(self.numbers), len(moves), self.team, *threads.team()
        )

    def _all(self, bases: Sequence[int], waiting: int) -> ctypes.Array[ctypes.c_int64]:
        """All bases of a call; where the sheet itself lies is not known yet."""
        if len(bases) != (own := self._first_work - GIVEN + len(self.work)):
            raise ValueError(f"a sheet got {len(bases)} addresses; it has {own} bases of its own")
        return self._bases(0, waiting, *bases)

    def filled(
        self, bases: Sequence[int], waiting: int | None = None
    ) -> ctypes.Array[ctypes.c_int64]:
        """The sheet of one call.

        Args:
            bases: the addresses of its own memory, all of them, from the base `GIVEN` on.
            waiting: where its team waits, see `parts.waiting`; None: where this thread's teams do.
        """
        sheet = (ctypes.c_int64 * len(self.numbers))()
        waiting = parts.waiting() if waiting is None else waiting
        parts.fill()(self._closed, self._all(bases, waiting), sheet)
        return sheet

    def run(self, bases: Sequence[int]) -> None:
        """Run all parts."""
        if threads.openmp() is None and self.team > 1:
            sheet = self.filled(bases)
            threads.run(parts.in_turn(), ctypes.addressof(sheet), self.team)
        else:
            parts.launch()(self._closed, self._all(bases, parts.waiting()))

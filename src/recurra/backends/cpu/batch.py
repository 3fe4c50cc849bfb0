"""The rows of a batch over time: all of them in every step, or only those that have not ended.

A sequence is (T, B, size) where every row has T steps. Where rows end, they are sorted by length,
the longest first, and a sequence is (1, N, size): the rows that are there in the first step, then
those in the second, N in all, as in PyTorch's PackedSequence. The slots of a state are its values
before the first step and after each (its history), or only two of them, used in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.backends.cpu import memory
from recurra.backends.cpu.sheet import Sheet, Span

Layout = tuple[int, int, int, int]  # step stride, row stride, slot mask, first row of each step
Integers = NDArray[np.int64]


class _Addresses:
    """Where arrays begin: what NumPy takes a while to say is asked once."""

    def __init__(self, counts: Integers, loads: Integers, zeros: Integers) -> None:
        self.counts, self.loads, self.zeros = (x.ctypes.data for x in (counts, loads, zeros))


class Dense:
    """Every row has every step.

    Args:
        steps: T.
        rows: B.

    Attributes:
        counts: (T,), rows of each step.
        loads: (B + 1,), steps of all rows before a row.
        addresses: of both, and of a zero for each step.
    """

    def __init__(self, steps: int, rows: int) -> None:
        self.steps, self.rows = steps, rows
        self.counts: Integers = np.full(steps, rows, np.int64)
        self.loads: Integers = np.arange(rows + 1) * steps
        self._zeros: Integers = np.zeros(steps + 2, np.int64)
        self.addresses = _Addresses(self.counts, self.loads, self._zeros)

    @property
    def extent(self) -> tuple[int, int]:
        """The first two dimensions of a sequence."""
        return self.steps, self.rows

    @property
    def front(self) -> tuple[int, int]:
        """(dimension, count): what a history has in front of the state after each step."""
        return 0, 1

    def slots(self, size: int, history: bool) -> tuple[int, int, int]:
        """The shape of a state's slots."""
        return self.steps + 1 if history else 2, self.rows, size

    def layout(self, sequence: Span) -> Layout:
        """How a sequence lies; with one step or row it stands for all of them."""
        step, row = sequence.strides[:2]
        step = step if sequence.shape[0] > 1 or self.steps == 1 else 0
        row = row if sequence.shape[1] > 1 or self.rows == 1 else 0
        return step, row, 0, self.addresses.zeros

    def slot_layout(self, slots: Span, history: bool) -> Layout:
        """How the slots of a state lie."""
        return slots.strides[0], slots.strides[1], -1 if history else 1, self.addresses.zeros

    def value(self, history: Span, after: bool) -> tuple[Span, Layout]:
        """The values of a state before or after each step, as a sequence."""
        side = history.since(1) if after else history.before(1)
        return side, self.layout(side)

    def enter(self, sheet: Sheet, slots: Span, start: Span, history: bool) -> None:
        """A part: the states (B, size) before the first step go to their slot."""
        sheet.copy(slots.at(0), start)

    def leave(self, sheet: Sheet, last: Span, slots: Span, history: bool) -> None:
        """A part: the states after the last step of each row are taken from their slots."""
        sheet.copy(last, slots.at(self.steps if history else self.steps & 1))

    def operand(self, sheet: Sheet, history: Span, after: bool) -> Span:
        """The values of a state before or after each step, to be multiplied."""
        return history.since(1) if after else history.before(1)

    def after(self, history: Tensor) -> Tensor:
        """A sequence: the state after each step."""
        return history[1:]

    def before(self, history: Tensor) -> Tensor:
        """A sequence: the state before each step."""
        return history[:-1]


class Ragged:
    """Rows end at their lengths.

    Args:
        lengths: (B,), the longest first; T is the first of them.
    """

    def __init__(self, lengths: Integers) -> None:
        self._lengths = lengths
        self.rows = len(lengths)
        self.steps = int(lengths[0]) if self.rows else 0
        steps = np.arange(self.steps)
        self.counts: Integers = np.searchsorted(-lengths, -steps, "left").astype(np.int64)
        self.loads: Integers = np.concatenate(([0], np.cumsum(lengths)))
        self._starts: Integers = np.concatenate(([0], np.cumsum(self.counts), [0]))
        # Slot 0 of a history has all rows, slot s + 1 those of step s.
        self._slots: Integers = np.concatenate(([0], self.rows + self._starts[:-1]))
        self._zeros: Integers = np.zeros(self.steps + 2, np.int64)
        self.addresses = _Addresses(self.counts, self.loads, self._zeros)

    @property
    def total(self) -> int:
        """N."""
        return int(self.loads[-1])

    @property
    def extent(self) -> tuple[int, int]:
        """The first two dimensions of a sequence."""
        return 1, self.total

    @cached_property
    def _steps_and_rows(self) -> tuple[Integers, Integers]:
        steps = np.repeat(np.arange(self.steps), self.counts)
        return steps, np.arange(self.total) - self._starts[steps]

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """(step, row), each (N,), of everything in a sequence."""
        steps, rows = self._steps_and_rows
        return torch.from_numpy(steps), torch.from_numpy(rows)

    @cached_property
    def _before(self) -> Integers:
        """For everything in a sequence, where in a history its state before the step stands."""
        steps, rows = self._steps_and_rows
        return self._slots[steps] + rows

    @cached_property
    def _last(self) -> Integers:
        """For each row, where in a history its last state stands."""
        return self._slots[self._lengths] + np.arange(self.rows)

    @cached_property
    def _last_of_two(self) -> Integers:
        """The same among two slots."""
        return (self._lengths & 1) * self.rows + np.arange(self.rows)

    @property
    def front(self) -> tuple[int, int]:
        """(dimension, count): what a history has in front of the state after each step."""
        return 1, self.rows

    def slots(self, size: int, history: bool) -> tuple[int, int, int]:
        """The shape of a state's slots."""
        return (1, self.rows + self.total, size) if history else (2, self.rows, size)

    def layout(self, sequence: Span) -> Layout:
        """How a sequence lies; with one row it stands for all of them."""
        row = sequence.strides[1] if sequence.shape[1] > 1 or self.total == 1 else 0
        return 0, row, 0, self._starts.ctypes.data

    def slot_layout(self, slots: Span, history: bool) -> Layout:
        """How the slots of a state lie."""
        if history:
            return 0, slots.strides[1], -1, self._slots.ctypes.data
        return slots.strides[0], slots.strides[1], 1, self.addresses.zeros

    def value(self, history: Span, after: bool) -> tuple[Span, Layout]:
        """The values of a state before or after each step, as a sequence."""
        starts = self._slots.ctypes.data + (self._slots.itemsize if after else 0)
        return history, (0, history.strides[1], 0, starts)

    def enter(self, sheet: Sheet, slots: Span, start: Span, history: bool) -> None:
        """A part: the states (B, size) before the first step go to their slot."""
        if history:
            sheet.copy(slots.at(0).before(self.total), start)
            return
        sheet.copy(slots.at(0), start)  # backwards, a row enters at a step of either kind
        sheet.copy(slots.at(1), start)

    def leave(self, sheet: Sheet, last: Span, slots: Span, history: bool) -> None:
        """A part: the states after the last step of each row are taken from their slots."""
        which = self._last if history else self._last_of_two
        sheet.copy(last, slots.at(0).before(slots.shape[1] - self.rows), which.ctypes.data)

    def operand(self, sheet: Sheet, history: Span, after: bool) -> Span:
        """The values of a state before or after each step, to be multiplied."""
        if after:
            return history.since(self.rows, 1)
        gathered = sheet.room((1, self.total, history.shape[2]))
        source = history.at(0).since(self.rows)  # as many rows
        source = Span(source.base, history.start, source.shape, source.strides)
        sheet.copy(gathered.at(0), source, self._before.ctypes.data)
        return gathered

    def after(self, history: Tensor) -> Tensor:
        """A sequence: the state after each step."""
        return history[:, self.rows :]

    def before(self, history: Tensor) -> Tensor:
        """A sequence: the state before each step."""
        return history.index_select(1, torch.from_numpy(self._before))


Batch = Dense | Ragged


@dataclass(frozen=True, eq=False)
class ByLength:
    """The rows of a batch in the order of their lengths.

    Attributes:
        steps: of the longest row; 0 if there are none.
        lengths: (B,), the longest first.
        order: (B,), the rows in this order.
        back: (B,), where each row stands in it.
        places: (N,), for everything in a sequence where it stands in (T * B,) of the batch.
        rows: (N,), of which row it is.
    """

    steps: int
    lengths: Tensor
    order: Tensor
    back: Tensor
    places: Tensor
    rows: Tensor

    def packed(self, sequence: Tensor) -> Tensor:
        """(1, N, ...): of a sequence (T, B, ...) what is before the ends, as `Ragged` has it."""
        whole = sequence.reshape(-1, *sequence.shape[2:])
        return whole.index_select(0, self.places).unsqueeze(0)

    def padded(self, sequence: Tensor, steps: int) -> Tensor:
        """(T, B, ...): the way back, 0 after the ends."""
        rows, sizes = len(self.order), sequence.shape[2:]
        room = memory.empty(sequence, steps * rows, *sizes).zero_()
        return room.index_copy_(0, self.places, sequence[0]).view(steps, rows, *sizes)


def by_length(lengths: Tensor) -> ByLength:
    """See `ByLength`, from the lengths (B,) of the rows as they are; one for all of a call."""
    return _by_length(bytes_of(lengths))


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # what is kept may be met by a call that records gradients
def _by_length(lengths: bytes) -> ByLength:
    counts = torch.from_numpy(np.frombuffer(lengths, np.int64).copy())
    falling, order = counts.sort(descending=True, stable=True)
    step, row = ragged(falling).places
    rows = order[row]
    steps = int(falling[0]) if len(falling) else 0
    return ByLength(steps, falling, order, order.argsort(), step * len(falling) + rows, rows)


def batch_of(steps: int, rows: int, lengths: bytes | None) -> Batch:
    """The batch of T steps and B rows, which may end at their lengths, see `bytes_of`."""
    return dense(steps, rows) if lengths is None else _ragged(lengths)


def bytes_of(lengths: Tensor) -> bytes:
    """Lengths (B,) as a key."""
    return lengths.numpy().astype(np.int64).tobytes()


def ragged(lengths: Tensor) -> Ragged:
    """See `Ragged`; one for all layers and directions of a call."""
    return _ragged(bytes_of(lengths))


@lru_cache(maxsize=16)
def _ragged(lengths: bytes) -> Ragged:
    return Ragged(np.frombuffer(lengths, np.int64).copy())


@lru_cache(maxsize=256)
def dense(steps: int, rows: int) -> Dense:
    """See `Dense`."""
    return Dense(steps, rows)

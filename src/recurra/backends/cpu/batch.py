"""The rows of a batch over time: all of them in every step, or only those that have not ended.

A sequence is (T, B, size) where every row has T steps. Where rows end, they are sorted by length,
the longest first, and a sequence is (1, N, size): the rows that are there in the first step, then
those in the second, N in all, as in PyTorch's PackedSequence.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.backends.cpu import memory

Fields = tuple[int, int, int, int, int]  # pointer, step stride, row stride, slot mask, first rows
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

    def sequence(self, like: Tensor, size: int) -> Tensor:
        """Room for a value of every step and row."""
        return memory.empty(like, self.steps, self.rows, size)

    def fields(self, sequence: Tensor) -> Fields:
        """Where a sequence lies; with one step or row it stands for all of them."""
        step, row = sequence.stride()[:2]
        step = step if sequence.shape[0] > 1 or self.steps == 1 else 0
        row = row if sequence.shape[1] > 1 or self.rows == 1 else 0
        return sequence.data_ptr(), step, row, 0, self.addresses.zeros

    def slots(self, start: Tensor, history: bool) -> Tensor:
        """Room for a state (B, size) before and after every step, or for two of these."""
        slots = memory.empty(start, self.steps + 1 if history else 2, *start.shape)
        slots[0] = start
        return slots

    def slot_fields(self, slots: Tensor, history: bool) -> Fields:
        """Where the slots of a state lie."""
        mask = -1 if history else 1
        return slots.data_ptr(), slots.stride(0), slots.stride(1), mask, self.addresses.zeros

    def value_fields(self, history: Tensor, after: bool) -> Fields:
        """The values of a state before or after each step, as a sequence."""
        return self.fields(history[1:] if after else history[:-1])

    def as_history(self, slots: Tensor) -> Tensor:
        """Rows one after another, or a history already, as a history."""
        return slots.view(self.steps + 1, self.rows, slots.shape[-1])

    def after(self, history: Tensor) -> Tensor:
        """A sequence: the state after each step."""
        return history[1:]

    def before(self, history: Tensor) -> Tensor:
        """A sequence: the state before each step."""
        return history[:-1]

    def last(self, slots: Tensor, history: bool) -> Tensor:
        """The state (B, size) after the last step."""
        return slots[self.steps if history else self.steps & 1]


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

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """(step, row), each (N,), of everything in a sequence."""
        steps = np.repeat(np.arange(self.steps), self.counts)
        rows = np.arange(self.total) - self._starts[steps]
        return torch.from_numpy(steps), torch.from_numpy(rows)

    def sequence(self, like: Tensor, size: int) -> Tensor:
        """Room for a value of every step and row."""
        return memory.empty(like, 1, self.total, size)

    def fields(self, sequence: Tensor) -> Fields:
        """Where a sequence lies; with one row it stands for all of them."""
        row = sequence.stride(1) if sequence.shape[1] > 1 or self.total == 1 else 0
        return sequence.data_ptr(), 0, row, 0, self._starts.ctypes.data

    def slots(self, start: Tensor, history: bool) -> Tensor:
        """Room for a state (B, size) before and after every step, or for two of these."""
        if history:
            slots = memory.empty(start, 1, self.rows + self.total, start.shape[1])
            slots[0, : self.rows] = start
            return slots
        slots = memory.empty(start, 2, *start.shape)
        slots[:] = start  # backwards, a row enters at a step of either kind
        return slots

    def slot_fields(self, slots: Tensor, history: bool) -> Fields:
        """Where the slots of a state lie."""
        if history:
            return slots.data_ptr(), 0, slots.stride(1), -1, self._slots.ctypes.data
        return slots.data_ptr(), slots.stride(0), slots.stride(1), 1, self.addresses.zeros

    def value_fields(self, history: Tensor, after: bool) -> Fields:
        """The values of a state before or after each step, as a sequence."""
        starts = self._slots.ctypes.data + (self._slots.itemsize if after else 0)
        return history.data_ptr(), 0, history.stride(1), 0, starts

    def as_history(self, slots: Tensor) -> Tensor:
        """Rows one after another, or a history already, as a history."""
        return slots.view(1, self.rows + self.total, slots.shape[-1])

    def after(self, history: Tensor) -> Tensor:
        """A sequence: the state after each step."""
        return history[:, self.rows :]

    def before(self, history: Tensor) -> Tensor:
        """A sequence: the state before each step."""
        steps, rows = self.places
        return history.index_select(1, torch.from_numpy(self._slots)[steps] + rows)

    def last(self, slots: Tensor, history: bool) -> Tensor:
        """The state (B, size) at the end of each row."""
        rows = torch.arange(self.rows)
        lengths = torch.from_numpy(self._lengths)
        if history:
            return slots[0].index_select(0, torch.from_numpy(self._slots)[lengths] + rows)
        return slots[lengths & 1, rows]


Batch = Dense | Ragged


def batch_of(steps: int, rows: int, lengths: Tensor | None) -> Batch:
    """The batch of T steps and B rows, which may end at their lengths (B,), the longest first."""
    return dense(steps, rows) if lengths is None else ragged(lengths)


def ragged(lengths: Tensor) -> Ragged:
    """See `Ragged`; one for all layers and directions of a call."""
    return _ragged(lengths.numpy().astype(np.int64).tobytes())


@lru_cache(maxsize=16)
def _ragged(lengths: bytes) -> Ragged:
    return Ragged(np.frombuffer(lengths, np.int64).copy())


@lru_cache(maxsize=256)
def dense(steps: int, rows: int) -> Dense:
    """See `Dense`."""
    return Dense(steps, rows)

"""One call of a kernel: its memory, its table, and the threads that share it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from recurra.backends.cpu import memory, threads
from recurra.backends.cpu.batch import Batch, Fields
from recurra.backends.cpu.compiled import Machine
from recurra.backends.cpu.table import Memory
from recurra.graph import Expression

MatrixFields = tuple[int, int, int]  # pointer, stride of rows, stride of columns
_WORTH = 2**17  # multiplications of a step from which its units are shared among threads
_WORTH_WAKING = 2**21  # the same, for a call that is one step


@dataclass(frozen=True)
class Carried:
    """The memory of a state.

    Attributes:
        slots: as `Batch.slots` makes them.
        batch: whose rows have the state.
        history: whether the state of every step is kept.
        backwards: whether it is carried from the last step to the first.
    """

    slots: Tensor
    batch: Batch
    history: bool
    backwards: bool = False

    @classmethod
    def starting(
        cls, before: Tensor, batch: Batch, history: bool, backwards: bool = False
    ) -> Carried:
        """Memory that holds the states (B, size) before the first step."""
        return cls(batch.slots(before, history), batch, history, backwards)

    @property
    def last(self) -> Tensor:
        """The state after the last step of each row, (B, size)."""
        if self.backwards:  # all rows end in the first step
            return self.slots[self.batch.steps & 1]
        return self.batch.last(self.slots, self.history)


def run(
    machine: Machine,
    batch: Batch,
    reads: Mapping[Expression, Fields],
    constants: Mapping[Expression, Tensor],
    matrices: Mapping[Expression, MatrixFields],
    states: Sequence[Carried],
    stores: Mapping[Expression, Tensor],
) -> None:
    """Run a kernel; it writes `stores` and the slots of `states`.

    Args:
        machine: the kernel.
        batch: steps and rows.
        reads: where each sequence lies; the numbers of a row stand side by side.
        constants: (size,) or a single number.
        matrices: where each matrix lies.
        states: in the order of the program.
        stores: sequences of the batch, numbers of a row side by side.
    """
    kernel = machine.kernel
    table = kernel.table.blank()
    kept = [*put_weights(machine, table, batch, constants, matrices)]
    for node in machine.program.reads:
        kernel.table.put(table, kernel.table.key("read", node), *reads[node])
    for node, carried in zip(machine.program.states, states, strict=True):
        fields = batch.slot_fields(carried.slots, carried.history)
        kernel.table.put(table, kernel.table.state(node), *fields)
    for node in machine.program.stores:
        kernel.table.put(table, kernel.table.key("store", node), *batch.fields(stores[node]))
    team, by_units = team_for(machine, batch.rows, batch.steps)
    put_work(machine, table, batch, memory.work)
    kept += put_batch(machine, table, batch, by_units)
    threads.run(machine.share, ctypes.addressof(table), team)
    kept.clear()


def put_batch(machine: Machine, table: Memory, batch: Batch, by_units: bool) -> list[Tensor]:
    """Enter the steps and rows, and how a team shares them."""
    arrived = torch.zeros(16 if by_units else 0, dtype=torch.int64)  # a cache line of its own
    for name, value in {
        "rows": batch.rows,
        "steps": batch.steps,
        "by_units": int(by_units),
        "counts": batch.addresses.counts,
        "loads": batch.addresses.loads,
        "arrived": arrived.data_ptr() + 64 if by_units else 0,
        "yield": _yield(),
    }.items():
        machine.kernel.table.put(table, name, value)
    return [arrived]


def team_for(machine: Machine, rows: int, steps: int | None = None) -> tuple[int, bool]:
    """(threads, whether they share the units of a step in the place of its rows).

    A call of one step shares its work only where that is much: waking a thread that sleeps costs
    more than most steps.
    """
    most = torch.get_num_threads()
    if steps == 1 and rows * machine.kernel.work < _WORTH_WAKING:
        return 1, False
    if most == 1 or rows >= most * machine.kernel.tile_rows:
        return min(most, rows), False
    if rows * machine.kernel.work >= _WORTH:
        return most, True
    return min(most, rows) if rows * machine.kernel.work >= _WORTH // 8 else 1, False


def put_weights(
    machine: Machine,
    table: Memory,
    batch: Batch,
    constants: Mapping[Expression, Tensor],
    matrices: Mapping[Expression, MatrixFields],
) -> list[Tensor]:
    """Enter what is the same in every step and row."""
    kernel, kept = machine.kernel, []
    for node in machine.program.constants:
        tensor = constants[node].contiguous()
        kept.append(tensor)
        key = kernel.table.key("constant", node)
        kernel.table.put(table, key, tensor.data_ptr(), 0, 0, 0, batch.addresses.zeros)
    for node in machine.program.matrices:
        kernel.table.put(table, kernel.table.key("matrix", node), *matrices[node])
    return kept


def put_work(
    machine: Machine, table: Memory, batch: Batch, room: Callable[..., Sequence[int]]
) -> None:
    """Enter the memory that only the kernel uses, and pack the matrices that the table names.

    Args:
        machine: the kernel.
        table: with its matrices.
        batch: steps and rows.
        room: from numbers of bytes to the addresses of so many.
    """
    kernel = machine.kernel
    places = room(*machine.work(batch.rows))
    for node, address in zip(kernel.scratch, places, strict=False):
        fields = address, 0, kernel.size(node), 1, batch.addresses.zeros
        kernel.table.put(table, kernel.table.key("scratch", node), *fields)
    total = 0
    for (key, numbers), address in zip(kernel.memory, places[len(kernel.scratch) :], strict=True):
        kernel.table.put(table, key, address)
        total += numbers
    if total:
        team = torch.get_num_threads() if total > _WORTH else 1
        threads.run(machine.pack, ctypes.addressof(table), team)


@lru_cache(maxsize=1)
def _yield() -> int:
    """The address of sched_yield; 0 where there is none."""
    try:
        return ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value or 0
    except (AttributeError, OSError, TypeError):
        return 0

"""One call of a kernel: its memory, its table, and its packed matrices."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.backends.cpu import memory, threads
from recurra.backends.cpu.compiled import Machine
from recurra.backends.cpu.kernel import Sweep
from recurra.backends.cpu.table import Memory
from recurra.graph import Expression


@dataclass(frozen=True)
class Carried:
    """The memory of a state.

    Attributes:
        slots: (S, B, size): slot 0 holds the state before the first step; a step reads slot s and
            writes slot s + 1, both modulo 2 if there are only two.
        steps: T.
    """

    slots: Tensor
    steps: int

    @classmethod
    def starting(cls, before: Tensor, steps: int, history: bool) -> Carried:
        """Room for the states of every step, or for two of them."""
        slots = memory.empty(before, steps + 1 if history else 2, *before.shape)
        slots[0] = before
        return cls(slots, steps)

    @property
    def mask(self) -> int:
        """What a slot's number is masked with."""
        return -1 if len(self.slots) == self.steps + 1 else 1

    @property
    def last(self) -> Tensor:
        """The state after the last step, (B, size)."""
        return self.slots[self.steps & self.mask]


def run(
    machine: Machine,
    steps: int,
    rows: int,
    reads: Mapping[Expression, Tensor],
    constants: Mapping[Expression, Tensor],
    matrices: Mapping[Expression, Tensor],
    states: Sequence[Carried],
    stores: Mapping[Expression, Tensor],
) -> None:
    """Run a kernel; it writes `stores` and the slots of `states`.

    Args:
        machine: the kernel.
        steps: T.
        rows: B.
        reads: (T, B, size), (1, B, size) if it is the same in every step, (T, B, 1) for a scalar.
        constants: (size,) or a single number.
        matrices: (rows, columns).
        states: in the order of the program.
        stores: (T, B, size), numbers of a row side by side.
    """
    kernel = machine.kernel
    table = kernel.table.blank()
    kept = [  # alive until the kernel is done
        *_put_given(machine, table, steps, rows, reads, constants),
        *_put_own(machine, table, rows, states[0].slots, matrices),
    ]
    for node, carried in zip(machine.program.states, states, strict=True):
        slots = carried.slots
        place = slots.data_ptr(), slots.stride(0), slots.stride(1), carried.mask
        kernel.table.put(table, kernel.table.state(node), *place)
    for node in machine.program.stores:
        _put(machine, table, kernel.table.key("store", node), stores[node])
    team = min(torch.get_num_threads(), rows)
    number, size = threads.addresses()
    for name, value in (("rows", rows), ("steps", steps)):
        kernel.table.put(table, name, value)
    kernel.table.put(table, "thread_number", number)
    kernel.table.put(table, "team_size", size)
    threads.run(machine.team, machine.rows, ctypes.addressof(table), rows, team)
    kept.clear()


def _put(machine: Machine, table: Memory, key: str, tensor: Tensor) -> None:
    """Enter a tensor (T, B, size) or (B, size) into the table."""
    strides = tensor.stride()[-3:-1] if tensor.dim() == 3 else (0, tensor.stride(0))
    machine.kernel.table.put(table, key, tensor.data_ptr(), *strides)


def _put_given(
    machine: Machine,
    table: Memory,
    steps: int,
    rows: int,
    reads: Mapping[Expression, Tensor],
    constants: Mapping[Expression, Tensor],
) -> list[Tensor]:
    """Enter what the kernel reads; a sequence with one step or row stands for all of them."""
    kernel, kept = machine.kernel, []
    for node in machine.program.reads:
        tensor = _row_by_row(reads[node])
        kept.append(tensor)
        step = tensor.stride(0) if tensor.shape[0] > 1 or steps == 1 else 0
        row = tensor.stride(1) if tensor.shape[1] > 1 or rows == 1 else 0
        key = kernel.table.key("read", node)
        kernel.table.put(table, key, tensor.data_ptr(), step, row)
    for node in machine.program.constants:
        tensor = constants[node].contiguous()
        kept.append(tensor)
        kernel.table.put(table, kernel.table.key("constant", node), tensor.data_ptr(), 0, 0)
    return kept


def _put_own(
    machine: Machine,
    table: Memory,
    rows: int,
    like: Tensor,
    matrices: Mapping[Expression, Tensor],
) -> list[Tensor]:
    """Enter the memory that only the kernel uses: scratch, and packed matrices."""
    kernel, kept = machine.kernel, []
    for node in kernel.schedule.scratch:
        scratch = memory.empty(like, rows, kernel.size(node))
        kept.append(scratch)
        _put(machine, table, kernel.table.key("scratch", node), scratch)
    for sweep in (sweep for sweeps in kernel.sweeps for sweep in sweeps if sweep.accumulations):
        packed = pack(sweep, matrices, kernel.form.lanes)
        kept.append(packed)
        kernel.table.put(table, sweep.key, packed.data_ptr(), 0, 0)
    return kept


def _row_by_row(tensor: Tensor) -> Tensor:
    """The tensor, copied if the numbers of a row do not stand side by side."""
    return tensor.contiguous() if tensor.shape[-1] > 1 and tensor.stride(-1) != 1 else tensor


def pack(sweep: Sweep, matrices: Mapping[Expression, Tensor], lanes: int) -> Tensor:
    """The matrices of a sweep in the order in which its tiles read them.

    For each block of units and operand: (depth, accumulation, vector, lane); missing units are 0.
    """
    tile = sweep.tile
    width, last = tile.vectors * lanes, tile.last * lanes
    edge = tile.blocks * width
    groups = [[matrices[matrix] for _, matrix in users] for _, users in sweep.operands]
    depths = [len(group) * group[0].shape[1] for group in groups]
    packed = memory.empty(groups[0][0], sum(depths) * (edge + last))
    blocks = packed[: sum(depths) * edge].view(tile.blocks, sum(depths) * width)
    tail = packed[sum(depths) * edge :]
    if tile.partial:
        tail.zero_()
    for group, full, rest in zip(
        groups,
        blocks.split([depth * width for depth in depths], 1),
        tail.split([depth * last for depth in depths]),
        strict=True,
    ):
        depth, count = group[0].shape[1], len(group)
        full = full.view(tile.blocks, depth, count, width)
        rest = rest.view(depth, count, last)
        for number, matrix in enumerate(group):
            if tile.blocks:
                turned = matrix[:edge].unflatten(0, (tile.blocks, width)).transpose(1, 2)
                full[:, :, number].copy_(turned)
            if last:
                rest[:, number, : matrix.shape[0] - edge].copy_(matrix[edge:].t())
    return packed

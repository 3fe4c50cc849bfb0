"""How a kernel is called: what it finds in its table, and the threads that share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from recurra.backends.cpu.batch import Batch, Layout
from recurra.backends.cpu.compiled import Machine
from recurra.backends.cpu.sheet import Sheet, Span
from recurra.graph import Expression

_WORTH = 2**17  # multiplications of a step from which its units are shared among threads
_WORTH_WAKING = 2**21  # the same, for a call that is one step


@dataclass(frozen=True)
class Run:
    """What a kernel reads and writes.

    Attributes:
        reads: where each sequence lies; the numbers of a row stand side by side.
        constants: (size,) or a single number.
        matrices: where each matrix lies.
        states: the slots of each state, and whether they are its history; in the program's order.
        stores: sequences that are written, numbers of a row side by side.
    """

    reads: Mapping[Expression, tuple[Span, Layout]]
    constants: Mapping[Expression, Span]
    matrices: Mapping[Expression, Span]
    states: Sequence[tuple[Span, bool]]
    stores: Mapping[Expression, Span]


def add_run(sheet: Sheet, machine: Machine, batch: Batch, run: Run) -> None:
    """Two parts of a sheet: weights are packed, then the kernel runs."""
    at, team = add_table(sheet, machine, batch, run, batch.steps)
    if packed := add_packing(sheet, machine, at):
        most = torch.get_num_threads() if packed > _WORTH else 1
        sheet.part("pack", machine.pack, at, most)
    sheet.part("loop", machine.share, at, team)


def add_table(
    sheet: Sheet, machine: Machine, batch: Batch, run: Run, steps: int
) -> tuple[int, int]:
    """A table without packed weights: its place, and how many threads share it.

    Args:
        sheet: where it goes.
        machine: the kernel.
        batch: steps and rows.
        run: what the kernel reads and writes.
        steps: of a call.
    """
    table, program = machine.kernel.table, machine.program
    at = sheet.table(table.size)
    zeros = batch.addresses.zeros

    def put(key: str, span: Span, layout: Sequence[int]) -> None:
        sheet.span(at + table.place(key), span)
        sheet.put(at + table.place(key) + 1, *layout)

    for node in program.reads:
        put(table.key("read", node), *run.reads[node])
    for node in program.constants:
        put(table.key("constant", node), run.constants[node], (0, 0, 0, zeros))
    for node in program.matrices:
        put(table.key("matrix", node), run.matrices[node], run.matrices[node].strides)
    for node, (slots, history) in zip(program.states, run.states, strict=True):
        put(table.state(node), slots, batch.slot_layout(slots, history))
    for node in program.stores:
        put(table.key("store", node), run.stores[node], batch.layout(run.stores[node]))
    for node in machine.kernel.scratch:
        size = machine.kernel.size(node)
        put(table.key("scratch", node), sheet.room((batch.rows, size)), (0, size, 1, zeros))
    team, by_units = team_for(machine, batch.rows, steps)
    for name, number in (
        ("rows", batch.rows),
        ("steps", batch.steps),
        ("by_units", int(by_units)),
        ("counts", batch.addresses.counts),
        ("loads", batch.addresses.loads),
        ("yield", sheet.yields),
    ):
        sheet.put(at + table.place(name), number)
    sheet.team_waits(at + table.place("arrived"))
    return at, team


def add_packing(sheet: Sheet, machine: Machine, at: int) -> int:
    """Room for the packed weights of a table; how many numbers they are."""
    total = 0
    for key, numbers in machine.kernel.memory:
        sheet.span(at + machine.kernel.table.place(key), sheet.room((numbers,)))
        total += numbers
    return total


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

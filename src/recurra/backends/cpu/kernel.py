"""A step program as LLVM IR: loops over time, rows and units around what its nodes say.

Threads share the rows of the batch and never wait for one another; where rows are too few, they
share the units, and wait once after each part of a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial

import llvmlite.ir as ir

from recurra.backends.cpu.barrier import Barrier
from recurra.backends.cpu.draft import Draft
from recurra.backends.cpu.loops import loop, smaller
from recurra.backends.cpu.matrix_products import write_matrix_product, write_mirrored
from recurra.backends.cpu.matrix_writer import MatrixWriter
from recurra.backends.cpu.program import StepProgram, unmirrored
from recurra.backends.cpu.reductions import write_reduction
from recurra.backends.cpu.schedule import Schedule
from recurra.backends.cpu.shared import Shared, written
from recurra.backends.cpu.sweep import Sweep, sweeps_of, write_packing
from recurra.backends.cpu.table import Table
from recurra.backends.cpu.tile_writer import TileWriter
from recurra.backends.cpu.vectors import INT, POINTER, Format, index
from recurra.graph import Expression


class Kernel:
    """The IR of a step program.

    Args:
        program: what is computed.
        sizes: the number behind each size letter.
        form: number format and lanes.
        accumulators: vectors that a tile may hold.
        backwards: from the last step to the first.

    Attributes:
        module: with the functions `pack` and `share`, both of (table, member, size of the team).
        table: what the first argument points to.
        phases: the sweeps of each phase.
        sweeps: those that have products, and so packed matrices.
        apart: (phase, value) for each function that computes one from memory to memory.
    """

    def __init__(
        self,
        program: StepProgram,
        sizes: Mapping[str, int],
        form: Format,
        accumulators: int,
        backwards: bool,
    ) -> None:
        schedule, self.module = Schedule(program), ir.Module("step")
        self.table = Table(program, schedule.scratch)
        self.draft = Draft(program, sizes, form, schedule, self.table, self.module)
        self.backwards = backwards
        phases = list(enumerate(schedule.phases))
        self.phases = [sweeps_of(self.draft, n, phase, accumulators) for n, phase in phases]
        self.sweeps = [sweep for some in self.phases for sweep in some if sweep.accumulations]
        write_packing(self.draft, self.sweeps)
        self.apart: dict[str, tuple[int, Expression]] = {}
        parts: list[ir.Function] = []
        for (number, phase), own in zip(phases, self.phases, strict=True):
            for node in phase.apart:
                parts.append(_write_apart(self.draft, number, node))
                self.apart[parts[-1].name] = number, node
            parts += [_writer(self.draft, number, sweep).write() for sweep in own]
        self._write_share(self._steps(parts, self.draft.shared(Barrier())))

    @property
    def calls(self) -> Mapping[str, Shared]:
        """The shared functions that its code calls, by name."""
        return self.draft.calls

    def complete(self) -> ir.Module:
        """The module with the shared functions in it: all of the code in one text."""
        for one in self.calls.values():
            written(self.module, one)
        return self.module

    @property
    def scratch(self) -> list[Expression]:
        """Values that only the kernel itself reads again."""
        return self.draft.schedule.scratch

    def size(self, node: Expression) -> int:
        """Numbers of a row of a value."""
        return self.draft.size(node)

    @cached_property
    def tile_rows(self) -> int:
        """Rows of the largest tile."""
        return max((sweep.tile.rows for sweep in self.sweeps), default=1)

    @cached_property
    def work(self) -> int:
        """Multiplications of a step for one row."""
        program = self.draft.program
        own = [unmirrored(node.args[0]) for node in program.apart if node.op == "matmul"]
        sums = sum(sweep.size * sweep.columns(self.draft) for sweep in self.sweeps)
        return sums + sum(map(self.size, own))

    @cached_property
    def memory(self) -> list[tuple[str, int]]:
        """(entry of the table, numbers) for the packed matrices of each sweep."""
        return [(sweep.key, sweep.memory(self.draft)) for sweep in self.sweeps]

    def _steps(self, parts: list[ir.Function], barrier: ir.Function) -> ir.Function:
        """Some rows through the whole sequence, some units of them if there is a team."""
        function = self.draft.function("steps", [POINTER, *[INT] * 4])
        function.linkage = "internal"
        table, low, high, me, team = function.args
        labels = ("table", "low", "high", "me", "team")
        for argument, label in zip(function.args, labels, strict=True):
            argument.name = label
        b = ir.IRBuilder(function.append_basic_block("entry"))
        steps = self.table.load(b, table, "steps")
        counts = b.inttoptr(self.table.load(b, table, "counts"), POINTER)
        together = b.icmp_signed(">", team, index(1))
        meet = [self.table.load(b, table, "arrived"), self.table.load(b, table, "yield"), team]

        def step(b: ir.IRBuilder, s: ir.Value) -> None:
            t = b.sub(b.sub(steps, index(1)), s) if self.backwards else s
            alive = b.load(b.gep(counts, [t], source_etype=INT), align=8, typ=INT)
            end = smaller(b, high, alive)
            for part in parts:
                b.call(part, [table, t, s, low, end, me, team])
                with b.if_then(together):
                    b.call(barrier, meet)

        loop(b, index(0), steps, 1, step, "time")
        b.ret_void()
        return function

    def _write_share(self, steps: ir.Function) -> None:
        """What falls to one member of a team: all rows but some units, or some of the rows."""
        function = self.draft.function("share", [POINTER, INT, INT])
        table, me, team = function.args
        table.name, me.name, team.name = "table", "me", "team"
        b = ir.IRBuilder(function.append_basic_block("entry"))
        rows = self.table.load(b, table, "rows")
        by_units = b.icmp_signed("!=", self.table.load(b, table, "by_units"), index(0))
        with b.if_else(by_units) as (units, some_rows):
            with units:
                b.call(steps, [table, index(0), rows, me, team])
            with some_rows:
                loads = b.inttoptr(self.table.load(b, table, "loads"), POINTER)
                low = _bound(b, loads, rows, me, team)
                high = _bound(b, loads, rows, b.add(me, index(1)), team)
                if self.draft.program.has_matrices and not self.sweeps:
                    loop(b, low, high, 1, partial(self._one_row, steps, table), "one_row")
                else:
                    b.call(steps, [table, low, high, index(0), index(1)])
        b.ret_void()

    @staticmethod
    def _one_row(steps: ir.Function, table: ir.Value, b: ir.IRBuilder, row: ir.Value) -> None:
        """One row through all steps, while its matrices are in the cache."""
        b.call(steps, [table, row, b.add(row, index(1)), index(0), index(1)])


def _write_apart(draft: Draft, number: int, node: Expression) -> ir.Function:
    """The part of a phase that computes a value from memory to memory."""
    if node.op == "matmul":
        return write_matrix_product(draft, number, node)
    write = write_mirrored if node.op == "transpose" else write_reduction
    return write(draft, number, node)


def _writer(draft: Draft, number: int, sweep: Sweep) -> TileWriter | MatrixWriter:
    """What writes a sweep."""
    return (TileWriter if sweep.matrix is None else MatrixWriter)(draft, number, sweep)


def _bound(
    b: ir.IRBuilder, loads: ir.Value, rows: ir.Value, me: ir.Value, team: ir.Value
) -> ir.Value:
    """The first row before which me / team of all steps lie; `loads` (rows + 1) counts them."""

    def before(row: ir.Value) -> ir.Value:
        return b.load(b.gep(loads, [row], source_etype=INT), align=8, typ=INT)

    goal = b.mul(me, before(rows))
    start, inside = b.block, b.append_basic_block("bound")
    done = b.append_basic_block("bound_done")
    b.branch(inside)
    b.position_at_end(inside)
    row = b.phi(INT)
    row.add_incoming(index(0), start)
    reached = b.icmp_signed(">=", b.mul(before(row), team), goal)
    row.add_incoming(b.add(row, index(1)), inside)
    b.cbranch(b.or_(reached, b.icmp_signed(">=", row, rows)), done, inside)
    b.position_at_end(done)
    return row

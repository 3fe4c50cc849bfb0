"""The equations of one row and one vector of units, where a tile's products are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import llvmlite.ir as ir

from recurra.backends.cpu.draft import Draft
from recurra.backends.cpu.places import Places
from recurra.backends.cpu.program import is_count
from recurra.backends.cpu.rules import RULES
from recurra.backends.cpu.sweep import Sweep
from recurra.backends.cpu.vectors import Format, Vectors, index
from recurra.graph import Expression


class Writer(Protocol):
    """What writes a sweep.

    Attributes:
        draft: the kernel.
        form: number format and lanes.
        number: of the phase.
        sweep: what is computed.
        places: where values lie.
        buffer: where the products of a tile are, (row, accumulation, vector).
    """

    draft: Draft
    form: Format
    number: int
    sweep: Sweep
    places: Places
    buffer: ir.Value | None


class Body:
    """The equations of one phase for one row and one vector of units.

    Args:
        writer: of the sweep.
        row: of the batch.
        unit: the first of the vector; of a matrix, whose rows follow one another, the first number.
        lanes: how many there are.
        tile: (row in it, vector in it, vectors of it), where the writer has a buffer.
        place: (row, column) of the first number in a matrix, where the sweep is over matrices.
    """

    def __init__(
        self,
        writer: Writer,
        row: ir.Value,
        unit: ir.Value,
        lanes: int,
        tile: tuple[ir.Value, ir.Value, int] | None = None,
        place: tuple[ir.Value, ir.Value] | None = None,
    ) -> None:
        self.writer, self.row, self.unit, self.lanes = writer, row, unit, lanes
        self.tile, self.place = tile, place
        self.values: dict[Expression, ir.Value] = {}

    def write(self, b: ir.IRBuilder, instead: Mapping[Expression, Expression]) -> None:
        """All results of the phase, or what stands in their place."""
        vectors = Vectors(b, self.writer.form)
        draft, sweep = self.writer.draft, self.writer.sweep
        for node in draft.program.overwritten:
            if draft.size(node) == sweep.size:
                self.value(vectors, node)  # before anything is written
        for node in self.writer.sweep.results:
            value = self.value(vectors, instead.get(node, node))
            for pointer in self.writer.places.result(b, node, self.row):
                place = b.gep(pointer, [self.unit], source_etype=self.writer.form.scalar)
                vectors.store(value, place, self.lanes)

    def value(self, vectors: Vectors, node: Expression) -> ir.Value:
        """The value of a node, computed or read once."""
        if node not in self.values:
            value = self.values[node] = self._value(vectors, node)
            name = self.writer.draft.program.names.get(node)
            if name is not None and isinstance(value, ir.Instruction):
                value.name = name  # as the equations call it
        return self.values[node]

    def _value(self, vectors: Vectors, node: Expression) -> ir.Value:
        schedule, number = self.writer.draft.schedule, self.writer.number
        if node.op == "constant" and node not in schedule.leaves:
            return vectors.const(float(node.attribute))
        if is_count(node):
            return vectors.const(self._count(node))
        if node in schedule.leaves or node in schedule.program.apart:
            return self._read(vectors, node)
        if schedule.ready[node] < number and not schedule.again(node):
            return self._read(vectors, node)
        if node in schedule.sums:
            return self._accumulated(vectors, node)
        if node.op == "outer":
            return self._outer(vectors, *node.args)
        return RULES[node.op](vectors, *(self.value(vectors, arg) for arg in node.args))

    def _count(self, node: Expression) -> float:
        spread = node.args[0]
        number = float(spread.args[0].attribute)
        size = self.writer.draft.sizes[spread.attribute]
        return number * size if node.op == "sum" else number

    def _read(self, vectors: Vectors, node: Expression) -> ir.Value:
        b, form = vectors.b, self.writer.form
        pointer = self.writer.places.pointer(b, node, self.row)
        if not self.writer.draft.program.shapes[node]:
            return vectors.splat(b.load(pointer, align=form.size, typ=form.scalar))
        place = b.gep(pointer, [self.unit], source_etype=form.scalar)
        return vectors.load(place, self.lanes)

    def _outer(self, vectors: Vectors, column: Expression, row: Expression) -> ir.Value:
        """Some numbers of a row of an outer product."""
        b, form = vectors.b, self.writer.form
        assert self.place is not None
        starts = [self.writer.places.pointer(b, node, self.row) for node in (column, row)]
        pairs = zip(starts, self.place, strict=True)
        own, others = (b.gep(start, [k], source_etype=form.scalar) for start, k in pairs)
        number = vectors.splat(b.load(own, align=form.size, typ=form.scalar))
        return b.fmul(number, vectors.load(others, self.lanes))

    def _accumulated(self, vectors: Vectors, node: Expression) -> ir.Value:
        own = self.writer.draft.schedule.sums[node]
        b, sweep, buffer = vectors.b, self.writer.sweep, self.writer.buffer
        assert self.tile is not None
        assert buffer is not None
        m, v, count = self.tile
        number = sweep.accumulations.index(own)
        offset = b.add(
            b.mul(
                b.add(b.mul(m, index(len(sweep.accumulations))), index(number)),
                index(count),
            ),
            v,
        )
        place = b.gep(buffer, [offset], source_etype=self.writer.form.vector)
        total = b.load(place, align=self.writer.form.size, typ=self.writer.form.vector)
        return total if own.start is None else b.fadd(self.value(vectors, own.start), total)

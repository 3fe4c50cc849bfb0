"""The equations of one row and one vector of units, where a tile's products are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import llvmlite.ir as ir

from recurra.backends.cpu.program import is_count, is_reduction
from recurra.backends.cpu.rules import RULES
from recurra.backends.cpu.vectors import Vectors, index
from recurra.graph import Expression

if TYPE_CHECKING:
    from recurra.backends.cpu.tile_writer import TileWriter


class Body:
    """The equations of one phase for one row and one vector of units."""

    def __init__(
        self,
        writer: TileWriter,
        row: ir.Value,
        unit: ir.Value,
        lanes: int,
        m: ir.Value,
        v: ir.Value,
        vectors: int,
    ) -> None:
        self.writer, self.row, self.unit, self.lanes = writer, row, unit, lanes
        self.m, self.v, self.vectors = m, v, vectors
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
        if node in schedule.leaves or is_reduction(node):
            return self._read(vectors, node)
        if schedule.ready[node] < number and not schedule.again(node):
            return self._read(vectors, node)
        if node in schedule.sums:
            return self._accumulated(vectors, node)
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

    def _accumulated(self, vectors: Vectors, node: Expression) -> ir.Value:
        own = self.writer.draft.schedule.sums[node]
        b, sweep = vectors.b, self.writer.sweep
        number = sweep.accumulations.index(own)
        offset = b.add(
            b.mul(
                b.add(b.mul(self.m, index(len(sweep.accumulations))), index(number)),
                index(self.vectors),
            ),
            self.v,
        )
        place = b.gep(self.writer.buffer, [offset], source_etype=self.writer.form.vector)
        total = b.load(place, align=self.writer.form.size, typ=self.writer.form.vector)
        return total if own.start is None else b.fadd(self.value(vectors, own.start), total)

"""Weights in the order in which tiles read them: one vector of units after another, for each k."""

from __future__ import annotations

from dataclasses import dataclass

import llvmlite.ir as ir

from recurra.backends.cpu.loops import loop
from recurra.backends.cpu.vectors import INT, POINTER, Format, Vectors, index


@dataclass(frozen=True)
class Packing:
    """The function of (to, to stride, from, unit stride, depth stride, depth, units).

    to[k * to stride + lane] = from[lane * unit stride + k * depth stride], 0 from `units` on. Fast
    where one of both strides is 1.

    Attributes:
        form: number format and lanes.
    """

    form: Format

    @property
    def name(self) -> str:
        """With its format."""
        return f"pack_{self.form.name}"

    @property
    def arguments(self) -> list[ir.Type]:
        """Their types."""
        return [POINTER, INT, POINTER, INT, INT, INT, INT]

    def write(self, function: ir.Function) -> None:
        """Its body."""
        form = self.form
        labels = ("to", "step", "source", "unit_stride", "depth_stride", "depth", "units")
        for argument, label in zip(function.args, labels, strict=True):
            argument.name = label
        b = ir.IRBuilder(function.append_basic_block("entry"))
        unit_stride, depth_stride, depth = function.args[3:6]
        side_by_side = b.icmp_signed("==", unit_stride, index(1))
        enough = b.icmp_signed(">=", depth, index(form.lanes))
        along = b.and_(b.icmp_signed("==", depth_stride, index(1)), enough)
        with b.if_else(side_by_side) as (copy, otherwise):
            with copy:
                _copy(b, form, function)
            with otherwise, b.if_else(along) as (squares, rest):
                with squares:
                    _transpose_all(b, form, function)
                with rest:
                    _one_by_one(b, form, function)
        b.ret_void()


def _copy(b: ir.IRBuilder, form: Format, function: ir.Function) -> None:
    to, step, source, _, depth_stride, depth, units = function.args

    def row(b: ir.IRBuilder, k: ir.Value) -> None:
        v = Vectors(b, form)
        value = v.load(b.gep(source, [b.mul(k, depth_stride)], source_etype=form.scalar), units)
        v.store(value, b.gep(to, [b.mul(k, step)], source_etype=form.scalar), form.lanes)

    loop(b, index(0), depth, 1, row, "k")


def _transpose_all(b: ir.IRBuilder, form: Format, function: ir.Function) -> None:
    """Squares of lanes by lanes; the last one overlaps the one before."""
    to, step, source, unit_stride, _, depth, units = function.args
    last = b.sub(depth, index(form.lanes))
    zero = ir.Constant(form.vector, [0.0] * form.lanes)

    def square(b: ir.IRBuilder, k: ir.Value) -> None:
        at = b.select(b.icmp_signed("<", k, last), k, last)
        rows = []
        for unit in range(form.lanes):
            there = b.icmp_signed("<", index(unit), units)
            offset = b.select(there, b.mul(index(unit), unit_stride), index(0))
            place = b.gep(source, [b.add(offset, at)], source_etype=form.scalar)
            row = b.load(place, align=form.size, typ=form.vector)
            rows.append(b.select(there, row, zero))
        for number, column in enumerate(transposed(b, rows)):
            offset = b.mul(b.add(at, index(number)), step)
            place = b.gep(to, [offset], source_etype=form.scalar)
            b.store(column, place, align=form.size)

    loop(b, index(0), depth, form.lanes, square, "k")


def _one_by_one(b: ir.IRBuilder, form: Format, function: ir.Function) -> None:
    to, step, source, unit_stride, depth_stride, depth, units = function.args
    zero = ir.Constant(form.scalar, 0.0)

    def row(b: ir.IRBuilder, k: ir.Value) -> None:
        def lane(b: ir.IRBuilder, unit: ir.Value) -> None:
            there = b.icmp_signed("<", unit, units)
            offset = b.select(there, b.mul(unit, unit_stride), index(0))
            place = b.gep(source, [b.add(offset, b.mul(k, depth_stride))], source_etype=form.scalar)
            value = b.select(there, b.load(place, align=form.size, typ=form.scalar), zero)
            place = b.gep(to, [b.add(b.mul(k, step), unit)], source_etype=form.scalar)
            b.store(value, place, align=form.size)

        loop(b, index(0), index(form.lanes), 1, lane, "lane")

    loop(b, index(0), depth, 1, row, "k")


def transposed(b: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """A square of vectors mirrored: in each round, halves of growing size change places."""
    count, step = len(rows), 1
    kind = ir.VectorType(ir.IntType(32), count)
    while step < count:
        new = list(rows)
        lower = [p if not p & step else count + p - step for p in range(count)]
        upper = [p + step if not p & step else count + p for p in range(count)]
        for i in range(count):
            if not i & step:
                pair = rows[i], rows[i | step]
                new[i] = b.shuffle_vector(*pair, ir.Constant(kind, lower))
                new[i | step] = b.shuffle_vector(*pair, ir.Constant(kind, upper))
        rows, step = new, 2 * step
    return rows

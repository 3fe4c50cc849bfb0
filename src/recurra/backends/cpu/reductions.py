"""A sum, mean or maximum over the units of each row, from memory to memory."""

from __future__ import annotations

import llvmlite.ir as ir

from recurra.backends.cpu.draft import Draft
from recurra.backends.cpu.loops import carry, loop, share
from recurra.backends.cpu.places import Places
from recurra.backends.cpu.vectors import Format, Vectors, index, reduce_lanes
from recurra.graph import Expression


def write_reduction(draft: Draft, number: int, node: Expression) -> ir.Function:
    """The part of a phase that reduces one value; of a team, each member takes some rows."""
    part = draft.part(f"phase_{number}_{node.op}_{len(draft.module.functions)}")
    places = Places(draft, part)
    size, form = draft.size(node.args[0]), draft.form
    fill = float("-inf") if node.op == "max" else 0.0

    def row(b: ir.IRBuilder, at: ir.Value) -> None:
        v = Vectors(b, form)
        combine = v.maximum if node.op == "max" else b.fadd
        pointer = places.pointer(b, node.args[0], at)
        total: ir.Value = v.const(fill)
        if size >= form.lanes:
            total = _fold(b, form, pointer, size // form.lanes, total, node.op)
        if size % form.lanes:
            offset = index(size // form.lanes * form.lanes)
            last = b.gep(pointer, [offset], source_etype=form.scalar)
            total = combine(total, v.load(last, size % form.lanes, fill))
        value = reduce_lanes(v, total, combine)
        if node.op == "mean":
            value = b.fdiv(value, ir.Constant(form.scalar, float(size)))
        for goal in places.result(b, node, at):
            b.store(value, goal)

    b, (low, high) = part.body, part.rows
    first, end = share(b, b.sub(high, low), *part.team)
    loop(b, b.add(low, first), b.add(low, end), 1, row, "row")
    return part.close()


def _fold(
    b: ir.IRBuilder, form: Format, pointer: ir.Value, count: int, start: ir.Value, op: str
) -> ir.Value:
    """All complete vectors of a row combined into one."""

    def body(b: ir.IRBuilder, k: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        v = Vectors(b, form)
        part = v.load(b.gep(pointer, [k], source_etype=form.vector), form.lanes)
        return [v.maximum(totals[0], part) if op == "max" else b.fadd(totals[0], part)]

    return carry(b, index(count), [start], body, "fold")[0]

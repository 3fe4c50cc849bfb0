"""Sums over rows, as the gradient of a vector asks for: every column by itself, always alike.

Pieces of rows are summed first, then their sums: rounding grows with the length of a piece and
their number, not with the number of rows. Threads share columns, so sums do not depend on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import llvmlite.ir as ir

from recurra.backends.cpu.loops import VOID, carry, loop, share, smaller
from recurra.backends.cpu.target import Code, Target, host, made_once
from recurra.backends.cpu.vectors import INT, POINTER, Format, Vectors, index

FIELDS = ("to", "source", "row", "rows", "piece", "columns")  # `row`: numbers to the next row
_VECTORS = 4  # of columns that are summed together


def piece_of(rows: int) -> int:
    """Rows of a piece: about as many as there are pieces."""
    return 1 << (rows.bit_length() + 1) // 2


def sum_rows(bits: int) -> int:
    """The address of the function of (table, member, size of the team) that sums rows."""
    return _code(bits, host()).address("sum_rows")


@made_once
def _code(bits: int, target: Target) -> Code:
    module = ir.Module("sums")
    _write(module, target.form(bits))
    return Code(str(module), target)


def _write(module: ir.Module, form: Format) -> None:
    function = ir.Function(module, ir.FunctionType(VOID, [POINTER, INT, INT]), "sum_rows")
    function.attributes.add("nounwind")
    table, me, team = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    to, source, row, rows, piece, columns = (
        b.load(b.gep(table, [index(k)], source_etype=INT), align=8, typ=INT, name=name)
        for k, name in enumerate(FIELDS)
    )
    to, source = b.inttoptr(to, POINTER), b.inttoptr(source, POINTER)
    width = _VECTORS * form.lanes
    low, high = share(b, b.udiv(b.add(columns, index(width - 1)), index(width)), me, team)

    def block(b: ir.IRBuilder, number: ir.Value) -> None:
        first = b.mul(number, index(width))
        there = b.sub(columns, first)
        start, goal = (b.gep(p, [first], source_etype=form.scalar) for p in (source, to))
        own = _Block(start, goal, row, rows, piece)
        with b.if_else(b.icmp_signed(">=", there, index(width))) as (whole, rest):
            with whole:
                _write_block(b, form, own, [form.lanes] * _VECTORS)
            with rest:
                counts = [b.sub(there, index(n * form.lanes)) for n in range(_VECTORS)]
                _write_block(b, form, own, counts)

    loop(b, low, high, 1, block, "blocks")
    b.ret_void()


class _Block(NamedTuple):
    """Where columns begin and their sums go; numbers to the next row, rows, rows of a piece."""

    start: ir.Value
    goal: ir.Value
    row: ir.Value
    rows: ir.Value
    piece: ir.Value


def _write_block(
    b: ir.IRBuilder, form: Format, block: _Block, counts: Sequence[int | ir.Value]
) -> None:
    """Columns side by side; of each vector, so many count (none where it is negative)."""
    start, goal, row, rows, length = block
    zero = ir.Constant(form.vector, [0.0] * form.lanes)
    pieces = b.udiv(b.add(rows, b.sub(length, index(1))), length)

    def piece(b: ir.IRBuilder, number: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        begin = b.mul(number, length)

        def one(b: ir.IRBuilder, k: ir.Value, held: list[ir.Value]) -> list[ir.Value]:
            v = Vectors(b, form)
            place = b.gep(start, [b.mul(b.add(begin, k), row)], source_etype=form.scalar)
            return [
                b.fadd(sum_, v.load(b.gep(place, [index(n)], source_etype=form.vector), count))
                for n, (sum_, count) in enumerate(zip(held, counts, strict=True))
            ]

        own = smaller(b, length, b.sub(rows, begin))
        found = carry(b, own, [zero] * len(counts), one, "rows")
        return [b.fadd(total, more) for total, more in zip(totals, found, strict=True)]

    totals = carry(b, pieces, [zero] * len(counts), piece, "pieces")
    v = Vectors(b, form)
    for n, (total, count) in enumerate(zip(totals, counts, strict=True)):
        v.store(total, b.gep(goal, [index(n)], source_etype=form.vector), count)

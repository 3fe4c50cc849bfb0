"""Steps of small matrices that each row of a batch goes through by itself, as LLVM IR.

A step is a product, or a multiplication number by number. A row is computed whole by one thread,
while its matrices are in the cache; so the number of threads changes no bit.
"""

from __future__ import annotations

import llvmlite.ir as ir

from recurra.backends.cpu.loops import VOID, loop, share
from recurra.backends.cpu.matmul import FIELDS, Matmul
from recurra.backends.cpu.product_tiles import function
from recurra.backends.cpu.vectors import INT, POINTER, Format, Vectors, index

# What the one argument points to: the steps of all rows, one row after another; how many rows and
# steps; memory to pack in, where it begins and the bytes that each member of the team has there.
ROWS = ("steps", "rows", "count", "packed_left", "left_bytes", "packed_right", "right_bytes")
# A step: whether it multiplies number by number, and then what follows; else the table of `Matmul`.
KIND = ("times",)
# to = left * right, (height, width) each; `column`: numbers to the next column, 1, or 0 where the
# right side has one column for all.
TIMES = (
    *("height", "width", "to", "to_row", "left", "left_row"),
    *("right", "right_row", "right_column"),
)
SIZE = len(KIND) + max(len(FIELDS), len(TIMES))  # numbers of a step


def write_rows(matmul: Matmul) -> None:
    """The function `in_rows` of (table, member, size of the team), beside that of a product."""
    times = _write_times(matmul.module, matmul.form)
    own = function(matmul.module, "in_rows", "table me team", "table")
    b = ir.IRBuilder(own.append_basic_block("entry"))
    table, me, team = own.args
    steps, rows, count, left, left_bytes, right, right_bytes = (
        _number(b, table, k, name) for k, name in enumerate(ROWS)
    )
    packed = {
        "packed_left": b.add(left, b.mul(me, left_bytes)),
        "packed_right": b.add(right, b.mul(me, right_bytes)),
    }

    def row(b: ir.IRBuilder, number: ir.Value) -> None:
        first = b.mul(number, count)

        def step(b: ir.IRBuilder, k: ir.Value) -> None:
            place = b.add(steps, b.mul(b.add(first, k), index(8 * SIZE)))
            own = b.inttoptr(place, POINTER)
            fields = b.gep(own, [index(len(KIND))], source_etype=INT)
            with b.if_else(b.icmp_signed("!=", _number(b, own, 0, "times"), index(0))) as sides:
                with sides[0]:
                    b.call(times, [fields])
                with sides[1]:
                    for name, start in packed.items():
                        goal = b.gep(fields, [index(FIELDS.index(name))], source_etype=INT)
                        b.store(start, goal, align=8)
                    b.call(matmul.share, [fields, index(0), index(1)])

        loop(b, index(0), count, 1, step, "steps")

    first, end = share(b, rows, me, team)
    loop(b, first, end, 1, row, "rows")
    b.ret_void()


def _number(b: ir.IRBuilder, table: ir.Value, place: int, name: str) -> ir.Value:
    return b.load(b.gep(table, [index(place)], source_etype=INT), align=8, typ=INT, name=name)


def _write_times(module: ir.Module, form: Format) -> ir.Function:
    own = ir.Function(module, ir.FunctionType(VOID, [POINTER]), "times")
    own.linkage = "internal"
    own.attributes.add("nounwind")
    b = ir.IRBuilder(own.append_basic_block("entry"))
    at = {name: _number(b, own.args[0], k, name) for k, name in enumerate(TIMES)}
    lanes, width = index(form.lanes), at["width"]
    whole = b.mul(b.sdiv(width, lanes), lanes)
    one_column = b.icmp_signed("==", at["right_column"], index(0))

    def row(b: ir.IRBuilder, r: ir.Value) -> None:
        to, left, right = (
            b.gep(
                b.inttoptr(at[name], POINTER),
                [b.mul(r, at[f"{name}_row"])],
                source_etype=form.scalar,
            )
            for name in ("to", "left", "right")
        )
        first = b.load(right, align=form.size, typ=form.scalar)

        def some(b: ir.IRBuilder, k: ir.Value, count: int | ir.Value) -> None:
            v = Vectors(b, form)
            start = b.gep(right, [b.mul(k, at["right_column"])], source_etype=form.scalar)
            others = v.load(start, b.select(one_column, index(1), _value(count)))
            factor = b.select(one_column, v.splat(first), others)
            goal = b.gep(to, [k], source_etype=form.scalar)
            own = v.load(b.gep(left, [k], source_etype=form.scalar), count)
            v.store(b.fmul(own, factor), goal, count)

        loop(b, index(0), whole, form.lanes, lambda b, k: some(b, k, form.lanes), "vectors")
        with b.if_then(b.icmp_signed("<", whole, width)):
            some(b, whole, b.sub(width, whole))

    loop(b, index(0), at["height"], 1, row, "rows")
    b.ret_void()
    return own


def _value(count: int | ir.Value) -> ir.Value:
    return index(count) if isinstance(count, int) else count

"""The left side of a product in the order in which tiles read it; its rows summed on the way.

In memory the numbers of one k stand side by side, and those of the next lie far away. So all tiles
of a block are packed together: each cache line and each page is met once, not once for each tile.
"""

from __future__ import annotations

from functools import partial

import llvmlite.ir as ir

from recurra.backends.cpu.loops import carry, loop
from recurra.backends.cpu.micro import prefetch
from recurra.backends.cpu.product_tiles import function
from recurra.backends.cpu.vectors import Format, index

_TOGETHER = (16, 4, 1)  # tiles that are packed at once, while so many are left
_SOON = 8  # elements of the depth by which packing is ahead in what it fetches


class LeftSide:
    """Packs left sides: for each tile and k, one element of every row of the tile, side by side.

    Args:
        module: where its functions go.
        form: number format.
        rows: of a tile.

    Attributes:
        whole: packs some tiles that have all their rows.
        rest: packs the rows after them; those beyond the last repeat it.
    """

    def __init__(self, module: ir.Module, form: Format, rows: int) -> None:
        self.module, self.form, self.rows = module, form, rows
        self.kind = ir.VectorType(form.scalar, rows)
        self.whole, self.rest = self._whole(), self._rest()

    def _whole(self) -> ir.Function:
        labels = "to tile_size left left_k depth tiles sums asked begun"
        b, a = self._begin("pack_tiles", labels, "to left sums")
        done: ir.Value = index(0)
        for count in _TOGETHER:
            end = b.mul(b.sdiv(a["tiles"], index(count)), index(count))
            loop(b, done, end, count, partial(self._pack, a, count), f"tiles_{count}")
            done = end
        b.ret_void()
        return b.function

    def _pack(self, a: dict[str, ir.Value], count: int, b: ir.IRBuilder, first: ir.Value) -> None:
        """Some tiles, side by side, their sums in registers."""
        size, numbers = self.form.size, count * self.rows
        left = self._at(b, a["left"], b.mul(first, index(self.rows)))
        goals = [
            self._at(b, a["to"], b.mul(b.add(first, index(n)), a["tile_size"]))
            for n in range(count)
        ]

        def element(b: ir.IRBuilder, k: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            source = self._at(b, left, b.mul(k, a["left_k"]))
            soon = self._at(b, source, b.mul(index(_SOON), a["left_k"]))
            for line in range(0, numbers, 64 // size):
                prefetch(b, self._at(b, soon, index(line)))
            place = b.mul(k, index(self.rows))
            values = [
                b.load(self._at(b, source, index(n * self.rows)), align=size, typ=self.kind)
                for n in range(count)
            ]
            for goal, value in zip(goals, values, strict=True):
                b.store(value, self._at(b, goal, place), align=size)
            return [b.fadd(total, value) for total, value in zip(totals, values, strict=True)]

        zero = ir.Constant(self.kind, [0.0] * self.rows)
        totals = carry(b, a["depth"], [zero] * count, element, "k")
        with b.if_then(a["asked"]):
            for n, total in enumerate(totals):
                row = b.mul(b.add(first, index(n)), index(self.rows))
                goal = self._at(b, a["sums"], row)
                known = b.select(a["begun"], b.load(goal, align=size, typ=self.kind), zero)
                b.store(b.fadd(known, total), goal, align=size)

    def _rest(self) -> ir.Function:
        labels = "to left left_k depth rows sums asked begun"
        b, a = self._begin("pack_rest", labels, "to left sums")
        size, scalar = self.form.size, self.form.scalar
        last = b.sub(a["rows"], index(1))

        def row(b: ir.IRBuilder, m: ir.Value) -> None:
            own = b.select(b.icmp_signed("<", m, last), m, last)

            def element(b: ir.IRBuilder, k: ir.Value) -> None:
                place = self._at(b, a["left"], b.add(own, b.mul(k, a["left_k"])))
                goal = self._at(b, a["to"], b.add(m, b.mul(k, index(self.rows))))
                value = b.load(place, align=size, typ=scalar)
                b.store(value, goal, align=size)
                b.store(b.fadd(b.load(total, typ=scalar), value), total)

            b.store(ir.Constant(scalar, 0.0), total)
            loop(b, index(0), a["depth"], 1, element, "k")
            with b.if_then(b.and_(a["asked"], b.icmp_signed("<", m, a["rows"]))):
                goal = self._at(b, a["sums"], m)
                known = b.load(goal, align=size, typ=scalar)
                known = b.select(a["begun"], known, ir.Constant(scalar, 0.0))
                b.store(b.fadd(known, b.load(total, typ=scalar)), goal, align=size)

        total = b.alloca(scalar)
        loop(b, index(0), index(self.rows), 1, row, "rows")
        b.ret_void()
        return b.function

    def _begin(
        self, name: str, labels: str, pointers: str
    ) -> tuple[ir.IRBuilder, dict[str, ir.Value]]:
        """A function inside the module, and its arguments; `asked` and `begun` as truths."""
        own = function(self.module, name, labels, pointers)
        own.linkage = "internal"
        b = ir.IRBuilder(own.append_basic_block("entry"))
        a = dict(zip(labels.split(), own.args, strict=True))
        truths = {label: b.icmp_signed("!=", a[label], index(0)) for label in ("asked", "begun")}
        return b, a | truths

    def _at(self, b: ir.IRBuilder, start: ir.Value, numbers: ir.Value) -> ir.Value:
        return b.gep(start, [numbers], source_etype=self.form.scalar)

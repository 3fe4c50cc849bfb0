"""The left side of a product in the order in which tiles read it; its rows summed on the way."""

from __future__ import annotations

from collections.abc import Sequence

import llvmlite.ir as ir

from recurra.backends.cpu.vectors import Format, index


class PackedTile:
    """One tile of a packed left side: for each k, one element of every row, side by side.

    Args:
        b: where it begins; nothing is written yet.
        form: number format.
        rows: of a tile.
        to: its memory, depth * rows numbers.
    """

    def __init__(self, b: ir.IRBuilder, form: Format, rows: int, to: ir.Value) -> None:
        self.form, self.rows, self.to = form, rows, to
        self.kind = ir.VectorType(form.scalar, rows)
        with b.goto_entry_block():
            self._total = b.alloca(self.kind)
        b.store(ir.Constant(self.kind, [0.0] * rows), self._total)

    def copy(self, b: ir.IRBuilder, k: ir.Value, place: ir.Value) -> None:
        """Put the numbers of all rows, which stand side by side at a place, for a k."""
        self._put(b, k, b.load(place, align=self.form.size, typ=self.kind))

    def gather(self, b: ir.IRBuilder, k: ir.Value, places: Sequence[ir.Value]) -> None:
        """Put the number at the place of each row, for a k."""
        value: ir.Value = ir.Constant(self.kind, ir.Undefined)
        for m, place in enumerate(places):
            number = b.load(place, align=self.form.size, typ=self.form.scalar)
            value = b.insert_element(value, number, ir.Constant(ir.IntType(32), m))
        self._put(b, k, value)

    def _put(self, b: ir.IRBuilder, k: ir.Value, value: ir.Value) -> None:
        to = b.gep(self.to, [b.mul(k, index(self.rows))], source_etype=self.form.scalar)
        b.store(value, to, align=self.form.size)
        b.store(b.fadd(b.load(self._total, typ=self.kind), value), self._total)

    def add_sums(self, b: ir.IRBuilder, sums: ir.Value, rows: ir.Value, begun: ir.Value) -> None:
        """Write the sums of the first rows, or add them to what the place holds if it has begun."""
        total, scalar = b.load(self._total, typ=self.kind), self.form.scalar
        for m in range(self.rows):
            with b.if_then(b.icmp_signed("<", index(m), rows)):
                place = b.gep(sums, [index(m)], source_etype=scalar)
                mine = b.extract_element(total, ir.Constant(ir.IntType(32), m))
                known = b.load(place, align=self.form.size, typ=scalar)
                known = b.select(begun, known, ir.Constant(scalar, 0.0))
                b.store(b.fadd(known, mine), place, align=self.form.size)

"""The functions of a large product: tiles of its result, and what packs its right side."""

from __future__ import annotations

import llvmlite.ir as ir

from recurra.backends.cpu.loops import VOID, loop, smaller
from recurra.backends.cpu.micro import accumulate, fetching, prefetch
from recurra.backends.cpu.vectors import INT, POINTER, Format, Vectors, index

Values = dict[str, ir.Value]
_SOON = 32  # elements of the depth by which packing is ahead in what it fetches


class ProductTiles:
    """The functions of a product, for one shape of its tiles.

    Args:
        module: where they go.
        form: number format and lanes.
        rows: of a tile.
        vectors: of a row of a whole tile.

    Attributes:
        tiles: for 1, 2, ... vectors, the tile.
        copy_panel: packs a whole panel of a right side whose columns lie side by side.
    """

    def __init__(self, module: ir.Module, form: Format, rows: int, vectors: int) -> None:
        self.module, self.form, self.rows, self.vectors = module, form, rows, vectors
        self.tiles = [self._tile(count) for count in range(1, vectors + 1)]
        self.copy_panel = self._copy_panel()

    def _tile(self, vectors: int) -> ir.Function:
        """A tile of the result: it begins with the bias, or with what an earlier piece has left.

        Rows beyond the last repeat it and are not stored.
        """
        labels = (
            "result result_row left left_row left_k rows packed depth bias last_vector begun ahead"
        )
        own = function(self.module, f"tile_{vectors}", labels, "result left packed bias ahead")
        own.linkage = "internal"
        own.attributes.add("noinline")
        a = dict(zip(labels.split(), own.args, strict=True))
        b = ir.IRBuilder(own.append_basic_block("entry"))
        form, columns = self.form, range(vectors)
        v = Vectors(b, form)
        widths = [form.lanes] * (vectors - 1) + [a["last_vector"]]
        last_row = b.sub(a["rows"], index(1))
        rows = [smaller(b, index(m), last_row) for m in range(self.rows)]

        def lines(side: str) -> list[ir.Value]:
            offsets = [b.mul(row, a[f"{side}_row"]) for row in rows]
            return [b.gep(a[side], [offset], source_etype=form.scalar) for offset in offsets]

        places = {
            (m, n): b.gep(goal, [index(n * form.lanes)], source_etype=form.scalar)
            for m, goal in enumerate(lines("result"))
            for n in columns
        }
        sums, starts = self._first(b, a, places, widths), lines("left")
        given = a["left_k"], a["depth"], a["packed"], vectors, sums
        sums = accumulate(b, form, starts, *given, fetching(a["ahead"]))
        for m in range(self.rows):
            with b.if_then(b.icmp_signed("<", index(m), a["rows"])):
                for n in columns:
                    v.store(sums[m, n], places[m, n], widths[n])
        b.ret_void()
        return own

    def _first(
        self,
        b: ir.IRBuilder,
        a: Values,
        places: dict[tuple[int, int], ir.Value],
        widths: list[int | ir.Value],
    ) -> dict[tuple[int, int], ir.Value]:
        v, form = Vectors(b, self.form), self.form
        with b.if_else(b.icmp_signed("==", a["begun"], index(0))) as (beginning, going_on):
            with beginning:
                biases = [
                    v.load(b.gep(a["bias"], [index(n)], source_etype=form.vector), width)
                    for n, width in enumerate(widths)
                ]
                first = b.block
            with going_on:
                known = {p: v.load(places[p], widths[p[1]]) for p in places}
                later = b.block
        sums = {}
        for place in places:
            sums[place] = b.phi(form.vector)
            sums[place].add_incoming(biases[place[1]], first)
            sums[place].add_incoming(known[place], later)
        return sums

    def _copy_panel(self) -> ir.Function:
        """Packs a whole panel whose columns lie side by side."""
        own = function(self.module, "copy_panel", "to source k_stride depth", "to source")
        own.linkage = "internal"
        to, source, k_stride, depth = own.args
        b = ir.IRBuilder(own.append_basic_block("entry"))
        form = self.form
        width, line = self.vectors * form.lanes, 64 // form.size

        def row(b: ir.IRBuilder, k: ir.Value) -> None:
            v = Vectors(b, form)
            there = b.gep(source, [b.mul(k, k_stride)], source_etype=form.scalar)
            soon = b.gep(there, [b.mul(index(_SOON), k_stride)], source_etype=form.scalar)
            for first in range(0, width, line):
                prefetch(b, b.gep(soon, [index(first)], source_etype=form.scalar))
            goal = b.gep(to, [b.mul(k, index(self.vectors))], source_etype=form.vector)
            for n in range(self.vectors):
                value = v.load(b.gep(there, [index(n)], source_etype=form.vector), form.lanes)
                v.store(value, b.gep(goal, [index(n)], source_etype=form.vector), form.lanes)

        loop(b, index(0), depth, 1, row, "k")
        b.ret_void()
        return own


def function(module: ir.Module, name: str, arguments: str, pointers: str) -> ir.Function:
    """A new function that returns nothing; names of its arguments, and of those that point."""
    labels = arguments.split()
    types = [POINTER if label in pointers.split() else INT for label in labels]
    made = ir.Function(module, ir.FunctionType(VOID, types), name)
    made.attributes.add("nounwind")
    for argument, label in zip(made.args, labels, strict=True):
        argument.name = label
    return made

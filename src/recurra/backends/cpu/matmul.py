"""Large products of matrices as LLVM IR, for any sizes and strides of one number format.

A thread takes rows of the result. For each piece of the depth it packs what it multiplies, panel by
panel, so that the inner loop reads memory in order. Every element is summed in the order of k,
whatever the number of threads. After Goto & van de Geijn 2008, ACM TOMS 34 (3).
"""

from __future__ import annotations

from collections.abc import Iterable

import llvmlite.ir as ir

from recurra.backends.cpu.left_side import LeftSide
from recurra.backends.cpu.loops import loop, share, smaller
from recurra.backends.cpu.packing import Packing
from recurra.backends.cpu.product_tiles import ProductTiles, Values, function
from recurra.backends.cpu.shared import written
from recurra.backends.cpu.tile import shape_of_tile
from recurra.backends.cpu.vectors import INT, POINTER, Format, index

# What the one argument points to, as 64-bit integers. Strides count numbers.
SIDE = ("columns", "right", "right_column", "right_k", "result", "result_row", "bias")
SECOND = tuple(f"{name}_2" for name in SIDE)  # of another product of the same left side
FIELDS = (
    *("rows", "depth", "piece", "direct", "begun", "left", "left_row", "left_k"),
    *(*SIDE, *SECOND, "sums", "packed_left", "packed_right", "own_right"),
)
POINTERS = ("left", "right", "result", "bias", "sums", "packed_left", "packed_right")
_BLOCK = 16  # tiles that stay in the second cache while they meet all panels


class Matmul:
    """Writes result (rows, columns) = left (rows, depth) @ right (depth, columns) + bias.

    The left side has left_k == 1 and is read where it is (direct), or it has left_row == 1 and is
    packed, a block of tiles at a time; on the way the sums of its rows are taken, if they are asked
    for. Where the result has begun, the product is added to what it holds, in the place
    of the bias; sums are not asked for then. A packed left side may meet a second right side, with
    a result of its own: it is then packed once for both.

    Args:
        module: where the function goes.
        form: number format and lanes.
        accumulators: vectors that a tile may hold.
    """

    def __init__(self, module: ir.Module, form: Format, accumulators: int) -> None:
        self.module, self.form = module, form
        self.rows, self.vectors = shape_of_tile(1, accumulators, accumulators)
        self.width = self.vectors * form.lanes  # columns of a panel
        self._line = 64 // form.size  # numbers of a cache line
        self._tiles = ProductTiles(module, form, self.rows, self.vectors)
        self._left = LeftSide(module, form, self.rows)
        self.share = self._write_share()

    def memory_of_a_member(
        self, columns: Iterable[int], piece: int, direct: bool
    ) -> tuple[int, int]:
        """Numbers of packed memory that each member of a team needs: (left, right sides)."""
        if direct:
            return 0, piece * self.width
        panels = sum(-(-count // self.width) for count in columns)
        return _BLOCK * (piece * self.rows + self._line), panels * self.width * piece

    def _write_share(self) -> ir.Function:
        """The part of a product that falls to one member of a team."""
        own = function(self.module, "share", "table me team", "table")
        b = ir.IRBuilder(own.append_basic_block("entry"))
        table, me, team = own.args
        at = {}
        for number, name in enumerate(FIELDS):
            place = b.gep(table, [index(number)], source_etype=INT)
            at[name] = b.load(place, align=8, typ=INT, name=name)
            if name.removesuffix("_2") in POINTERS:
                at[name] = b.inttoptr(at[name], POINTER)
        tiles = b.sdiv(b.add(at["rows"], index(self.rows - 1)), index(self.rows))
        low, high = share(b, tiles, me, team)
        at["asked"] = b.zext(b.icmp_signed("!=", b.ptrtoint(at["sums"], INT), index(0)), INT)
        own_left = b.mul(self._tile_size(b, at), index(_BLOCK))
        for name, size in (("packed_left", own_left), ("packed_right", at["own_right"])):
            at[name] = b.gep(at[name], [b.mul(me, size)], source_etype=self.form.scalar)
        direct = b.icmp_signed("!=", at["direct"], index(0))

        def piece(b: ir.IRBuilder, k: ir.Value) -> None:
            now = at | {"k": k, "now": smaller(b, at["piece"], b.sub(at["depth"], k))}
            with b.if_else(direct) as (as_it_is, packed):
                with as_it_is:
                    self._direct(b, now, low, high)
                with packed:
                    self._packed(b, now, low, high)

        loop(b, index(0), at["depth"], at["piece"], piece, "pieces")
        b.ret_void()
        return own

    # The two orders: a panel of the right side stays in the second cache, or a block of the left.

    def _direct(self, b: ir.IRBuilder, at: Values, low: ir.Value, high: ir.Value) -> None:
        """Each panel is packed and meets all rows, read where they are."""

        def panel(b: ir.IRBuilder, column: ir.Value) -> None:
            self._pack_panel(b, at, column, index(0))

            def tile(b: ir.IRBuilder, number: ir.Value) -> None:
                row = b.mul(number, index(self.rows))
                offset = b.add(b.mul(row, at["left_row"]), at["k"])
                left = b.gep(at["left"], [offset], source_etype=self.form.scalar)
                strides = at["left_row"], index(1)
                self._call_tile(b, at, row, column, index(0), left, strides, at["packed_right"])

            loop(b, low, high, 1, tile, "tiles")

        loop(b, index(0), at["columns"], self.width, panel, "panels")

    def _packed(self, b: ir.IRBuilder, at: Values, low: ir.Value, high: ir.Value) -> None:
        """All panels are packed; then each block of rows meets them one after another."""
        sides = at, self._second(b, at)
        for side in sides:

            def pack(b: ir.IRBuilder, column: ir.Value, side: Values = side) -> None:
                self._pack_panel(b, side, column, column)

            loop(b, index(0), side["columns"], self.width, pack, "pack_panels")

        def block(b: ir.IRBuilder, first: ir.Value) -> None:
            end = smaller(b, b.add(first, index(_BLOCK)), high)
            self._pack_left(b, at, first, end)
            for side in sides:
                self._meet(b, side, first, end)

        loop(b, low, high, _BLOCK, block, "blocks")

    def _second(self, b: ir.IRBuilder, at: Values) -> Values:
        """The second right side in the place of the first."""
        width = index(self.width)
        panels = b.udiv(b.add(at["columns"], index(self.width - 1)), width)
        offset = b.mul(b.mul(panels, width), at["piece"])
        packed = b.gep(at["packed_right"], [offset], source_etype=self.form.scalar)
        other = {name: at[second] for name, second in zip(SIDE, SECOND, strict=True)}
        return at | other | {"packed_right": packed}

    def _pack_left(self, b: ir.IRBuilder, at: Values, first: ir.Value, end: ir.Value) -> None:
        """A block of rows: its whole tiles, then the rows after them, if there are some."""
        row = b.mul(first, index(self.rows))
        there = b.sdiv(b.sub(at["rows"], row), index(self.rows))
        tiles = smaller(b, b.sub(end, first), there)

        def places(row: ir.Value) -> tuple[ir.Value, ir.Value]:
            offset = b.add(row, b.mul(at["k"], at["left_k"]))
            left = b.gep(at["left"], [offset], source_etype=self.form.scalar)
            return left, b.gep(at["sums"], [row], source_etype=self.form.scalar)

        left, sums = places(row)
        given = [at["packed_left"], self._tile_size(b, at), left, at["left_k"], at["now"], tiles]
        b.call(self._left.whole, [*given, sums, at["asked"], at["k"]])
        with b.if_then(b.icmp_signed("<", tiles, b.sub(end, first))):
            row = b.add(row, b.mul(tiles, index(self.rows)))
            left, sums = places(row)
            to = self._tile_of_block(b, at, tiles)
            given = [to, left, at["left_k"], at["now"], b.sub(at["rows"], row)]
            b.call(self._left.rest, [*given, sums, at["asked"], at["k"]])

    def _meet(self, b: ir.IRBuilder, at: Values, first: ir.Value, end: ir.Value) -> None:
        """A packed block of rows meets all panels of a right side."""

        def panel(b: ir.IRBuilder, column: ir.Value) -> None:
            def tile(b: ir.IRBuilder, number: ir.Value) -> None:
                place = b.sub(number, first)
                left = self._tile_of_block(b, at, place)
                row, strides = b.mul(number, index(self.rows)), (index(1), index(self.rows))
                ahead = self._ahead(b, at, column, place)
                self._call_tile(b, at, row, column, column, left, strides, ahead)

            loop(b, first, end, 1, tile, "tiles")

        loop(b, index(0), at["columns"], self.width, panel, "panels")

    def _ahead(self, b: ir.IRBuilder, at: Values, column: ir.Value, tile: ir.Value) -> ir.Value:
        """What a tile fetches of the next panel: the first tiles of a block fetch all of it."""
        following = b.add(column, index(self.width))
        there = b.icmp_signed("<", following, at["columns"])
        line = b.mul(at["now"], index(64 // self.form.size))
        part = b.mul(b.urem(tile, index(self.vectors)), line)
        offset = b.add(b.mul(b.select(there, following, index(0)), at["piece"]), part)
        return b.gep(at["packed_right"], [offset], source_etype=self.form.scalar)

    def _pack_panel(self, b: ir.IRBuilder, at: Values, column: ir.Value, slot: ir.Value) -> None:
        """Columns of the right side from `column` on, to the place of the column `slot`."""
        panel = b.gep(at["packed_right"], [b.mul(slot, at["piece"])], source_etype=self.form.scalar)
        whole = b.icmp_signed("<=", b.add(column, index(self.width)), at["columns"])
        fast = b.and_(whole, b.icmp_signed("==", at["right_column"], index(1)))
        with b.if_else(fast) as (copied, otherwise):
            with copied:
                offset = b.add(column, b.mul(at["k"], at["right_k"]))
                source = b.gep(at["right"], [offset], source_etype=self.form.scalar)
                b.call(self._tiles.copy_panel, [panel, source, at["right_k"], at["now"]])
            with otherwise:
                self._pack_vectors(b, at, column, panel)

    def _pack_vectors(self, b: ir.IRBuilder, at: Values, column: ir.Value, panel: ir.Value) -> None:
        """A panel, one vector of its columns after another."""
        pack, lanes = written(self.module, Packing(self.form)), self.form.lanes
        vectors, _ = self._vectors(b, at, column)

        def vector(b: ir.IRBuilder, n: ir.Value) -> None:
            first = b.add(column, b.mul(n, index(lanes)))
            offset = b.add(b.mul(first, at["right_column"]), b.mul(at["k"], at["right_k"]))
            source = b.gep(at["right"], [offset], source_etype=self.form.scalar)
            to = b.gep(panel, [n], source_etype=self.form.vector)
            units = smaller(b, b.sub(at["columns"], first), index(lanes))
            strides = at["right_column"], at["right_k"]
            b.call(pack, [to, b.mul(vectors, index(lanes)), source, *strides, at["now"], units])

        loop(b, index(0), vectors, 1, vector, "pack")

    def _vectors(self, b: ir.IRBuilder, at: Values, column: ir.Value) -> tuple[ir.Value, ir.Value]:
        """(vectors of the panel at a column, numbers in the last of them)."""
        lanes = self.form.lanes
        width = smaller(b, b.sub(at["columns"], column), index(self.width))
        vectors = b.udiv(b.add(width, index(lanes - 1)), index(lanes))
        return vectors, b.sub(width, b.mul(b.sub(vectors, index(1)), index(lanes)))

    # The left side, packed

    def _tile_size(self, b: ir.IRBuilder, at: Values) -> ir.Value:
        """From one tile to the next: not a power of two, at which few of them share a cache."""
        return b.add(b.mul(at["piece"], index(self.rows)), index(self._line))

    def _tile_of_block(self, b: ir.IRBuilder, at: Values, number: ir.Value) -> ir.Value:
        offset = b.mul(number, self._tile_size(b, at))
        return b.gep(at["packed_left"], [offset], source_etype=self.form.scalar)

    # Tiles

    def _call_tile(
        self,
        b: ir.IRBuilder,
        at: Values,
        row: ir.Value,
        column: ir.Value,
        slot: ir.Value,
        left: ir.Value,
        strides: tuple[ir.Value, ir.Value],
        ahead: ir.Value,
    ) -> None:
        """One tile of the result.

        Args:
            at: values of the share.
            row, column: where the tile lies.
            slot: column that the packed panel begins with.
            left, strides: where the tile's rows begin, from one row and one element to the next.
            ahead: memory from which the tile fetches a cache line for each k, see `fetching`.
        """
        scalar = self.form.scalar
        offset = b.add(b.mul(row, at["result_row"]), column)
        result = b.gep(at["result"], [offset], source_etype=scalar)
        bias = b.gep(at["bias"], [column], source_etype=scalar)
        packed = b.gep(at["packed_right"], [b.mul(slot, at["piece"])], source_etype=scalar)
        count = smaller(b, index(self.rows), b.sub(at["rows"], row))
        vectors, last = self._vectors(b, at, column)
        arguments = [result, at["result_row"], left, *strides, count]
        arguments += [packed, at["now"], bias, last, b.add(at["k"], at["begun"]), ahead]
        done = b.append_basic_block("tile_done")
        choose = b.switch(vectors, done)
        for n, tile in enumerate(self._tiles.tiles, 1):
            with b.goto_block(case := b.append_basic_block(f"vectors_{n}")):
                b.call(tile, arguments)
                b.branch(done)
            choose.add_case(index(n), case)
        b.position_at_end(done)

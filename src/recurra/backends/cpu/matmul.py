"""Large products of matrices as LLVM IR, for any sizes and strides of one number format.

A thread takes rows of the result. For each piece of the depth it packs what it multiplies, panel by
panel, so that the inner loop reads memory in order. Every element is summed in the order of k,
whatever the number of threads. After Goto & van de Geijn 2008, ACM TOMS 34 (3).
"""

from __future__ import annotations

from collections.abc import Iterable

import llvmlite.ir as ir

from recurra.backends.cpu.loops import VOID, carry, loop, share, smaller
from recurra.backends.cpu.micro import accumulate, prefetch
from recurra.backends.cpu.packing import pack_function
from recurra.backends.cpu.tile import shape_of_tile
from recurra.backends.cpu.vectors import INT, POINTER, Format, Vectors, index

# What the one argument points to, as 64-bit integers. Strides count numbers.
SIDE = ("columns", "right", "right_column", "right_k", "result", "result_row", "bias")
SECOND = tuple(f"{name}_2" for name in SIDE)  # of another product of the same left side
FIELDS = (
    *("rows", "depth", "piece", "direct", "begun", "left", "left_row", "left_k"),
    *(*SIDE, *SECOND, "sums", "packed_left", "packed_right", "own_right"),
)
POINTERS = ("left", "right", "result", "bias", "sums", "packed_left", "packed_right")
Values = dict[str, ir.Value]


_GROUP = 8  # tiles of the left side that are packed together
_SOON = 12  # elements of the depth by which packing is ahead in what it fetches
_BLOCK = 16  # tiles that stay in the second cache while they meet all panels


class Matmul:
    """Writes result (rows, columns) = left (rows, depth) @ right (depth, columns) + bias.

    The left side has left_k == 1 and is read where it is (direct), or it has left_row == 1 and is
    packed; on the way the sums of its rows are taken, if they are asked for. Where the result has
    begun, the product is added to what it holds, in the place of the bias. A packed left side may
    meet a second right side, with a result of its own: it is then packed once for both.

    Args:
        module: where the function goes.
        form: number format and lanes.
        accumulators: vectors that a tile may hold.
    """

    def __init__(self, module: ir.Module, form: Format, accumulators: int) -> None:
        self.module, self.form = module, form
        self.rows, self.vectors = shape_of_tile(1, accumulators, accumulators)
        self.width = self.vectors * form.lanes  # columns of a panel
        self._tiles = [self._tile(vectors) for vectors in range(1, self.vectors + 1)]
        self._write_share()

    def memory_of_a_member(
        self, columns: Iterable[int], piece: int, direct: bool
    ) -> tuple[int, int]:
        """Numbers of packed memory that each member of a team needs: (left, right sides)."""
        if direct:
            return 0, piece * self.width
        panels = sum(-(-count // self.width) for count in columns)
        return _BLOCK * (piece * self.rows + self.form.lanes), panels * self.width * piece

    def _function(self, name: str, arguments: str, pointers: str) -> ir.Function:
        labels = arguments.split()
        types = [POINTER if label in pointers.split() else INT for label in labels]
        function = ir.Function(self.module, ir.FunctionType(VOID, types), name)
        function.attributes.add("nounwind")
        for argument, label in zip(function.args, labels, strict=True):
            argument.name = label
        return function

    def _write_share(self) -> None:
        """The part of a product that falls to one member of a team."""
        function = self._function("share", "table me team", "table")
        b = ir.IRBuilder(function.append_basic_block("entry"))
        table, me, team = function.args
        at = {}
        for number, name in enumerate(FIELDS):
            place = b.gep(table, [index(number)], source_etype=INT)
            at[name] = b.load(place, align=8, typ=INT, name=name)
            if name.removesuffix("_2") in POINTERS:
                at[name] = b.inttoptr(at[name], POINTER)
        tiles = b.sdiv(b.add(at["rows"], index(self.rows - 1)), index(self.rows))
        low, high = share(b, tiles, me, team)
        for name, size in (("packed_left", self._block(b, at)), ("packed_right", at["own_right"])):
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
        """All panels are packed; a block of rows is packed and meets them one after another."""
        sides = at, self._second(b, at)
        for side in sides:

            def pack(b: ir.IRBuilder, column: ir.Value, side: Values = side) -> None:
                self._pack_panel(b, side, column, column)

            loop(b, index(0), side["columns"], self.width, pack, "pack_panels")

        def block(b: ir.IRBuilder, first: ir.Value) -> None:
            end = smaller(b, b.add(first, index(_BLOCK)), high)
            self._pack_block(b, at, first, end)
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
        pack, lanes = pack_function(self.module, self.form), self.form.lanes
        vectors, _ = self._vectors(b, at, column)
        panel = b.gep(at["packed_right"], [b.mul(slot, at["piece"])], source_etype=self.form.scalar)

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

    def _block(self, b: ir.IRBuilder, at: Values) -> ir.Value:
        """Numbers that a packed block takes; the last store of a tile is a whole vector."""
        return b.mul(self._tile_size(b, at), index(_BLOCK))

    def _tile_size(self, b: ir.IRBuilder, at: Values) -> ir.Value:
        return b.add(b.mul(at["piece"], index(self.rows)), index(self.form.lanes))

    def _tile_of_block(self, b: ir.IRBuilder, at: Values, number: ir.Value) -> ir.Value:
        offset = b.mul(number, self._tile_size(b, at))
        return b.gep(at["packed_left"], [offset], source_etype=self.form.scalar)

    def _pack_block(self, b: ir.IRBuilder, at: Values, low: ir.Value, high: ir.Value) -> None:
        """Some tiles at once, as neighbours lie in the same cache lines; then the rest."""
        scalar = self.form.scalar
        edge = b.add(low, b.mul(b.udiv(b.sub(high, low), index(_GROUP)), index(_GROUP)))
        asked = b.zext(b.icmp_signed("!=", b.ptrtoint(at["sums"], INT), index(0)), INT)
        for first, end, group in ((low, edge, _GROUP), (edge, high, 1)):
            function = self._left(group)

            def tiles(b: ir.IRBuilder, number: ir.Value, function: ir.Function = function) -> None:
                row = b.mul(number, index(self.rows))
                offset = b.add(row, b.mul(at["k"], at["left_k"]))
                source = b.gep(at["left"], [offset], source_etype=scalar)
                to = self._tile_of_block(b, at, b.sub(number, low))
                sums = b.gep(at["sums"], [row], source_etype=scalar)
                rows, size = b.sub(at["rows"], row), self._tile_size(b, at)
                given = [to, size, source, at["left_k"], at["now"], rows, sums, asked, at["k"]]
                b.call(function, given)

            loop(b, first, end, group, tiles, "tiles")

    def _left(self, group: int) -> ir.Function:
        """Packs a group of tiles of the left side: for each k one element of every row."""
        name = f"pack_left_{group}"
        if name in self.module.globals:
            return self.module.globals[name]
        labels = "to size source k_stride depth rows sums asked piece"
        function = self._function(name, labels, "to source sums")
        function.linkage = "internal"
        to, size, source, k_stride, depth, rows, sums, asked, piece = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        form, v = self.form, Vectors(b, self.form)
        # (tile, first row in it) of every vector; what a store writes too much, the next one mends
        parts = [(tile, m) for tile in range(group) for m in range(0, self.rows, form.lanes)]
        at = [index(tile * self.rows + m) for tile, m in parts]
        masks = [v.mask(b.sub(rows, row)) for row in at]
        goals = [b.gep(to, [b.mul(size, index(t))], source_etype=form.scalar) for t, _ in parts]

        def body(b: ir.IRBuilder, k: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
            place = b.gep(source, [b.mul(k, k_stride)], source_etype=form.scalar)
            soon = b.gep(place, [b.mul(k_stride, index(_SOON))], source_etype=form.scalar)
            for line in range(0, group * self.rows * form.size, 64):
                prefetch(b, b.gep(soon, [index(line)], source_etype=ir.IntType(8)))
            new = []
            for number, (_, m) in enumerate(parts):
                there = b.gep(place, [at[number]], source_etype=form.scalar)
                value = v.load_where(masks[number], there)
                offset = b.add(b.mul(k, index(self.rows)), index(m))
                v.store(value, b.gep(goals[number], [offset], source_etype=form.scalar), form.lanes)
                new.append(b.fadd(totals[number], value))
            return new

        totals = carry(b, depth, [v.const(0.0)] * len(parts), body, "k")
        with b.if_then(b.icmp_signed("!=", asked, index(0))):
            counts = [
                smaller(b, b.sub(rows, x), index(self.rows - m))
                for x, (_, m) in zip(at, parts, strict=True)
            ]
            places = [b.gep(sums, [x], source_etype=form.scalar) for x in at]
            self._add_sums(b, b.icmp_signed("!=", piece, index(0)), places, counts, totals)
        b.ret_void()
        return function

    def _add_sums(
        self,
        b: ir.IRBuilder,
        begun: ir.Value,
        places: list[ir.Value],
        counts: list[ir.Value],
        totals: list[ir.Value],
    ) -> None:
        v = Vectors(b, self.form)
        for place, count, total in zip(places, counts, totals, strict=True):
            known = v.load(place, b.select(begun, count, index(0)))
            v.store(b.fadd(known, total), place, count)

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
        """One tile of the result; `left` is where its rows begin, with their two strides."""
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
        for n, function in enumerate(self._tiles, 1):
            with b.goto_block(case := b.append_basic_block(f"vectors_{n}")):
                b.call(function, arguments)
                b.branch(done)
            choose.add_case(index(n), case)
        b.position_at_end(done)

    def _tile(self, vectors: int) -> ir.Function:
        """A tile of the result: it begins with the bias, or with what an earlier piece has left.

        Rows beyond the last repeat it and are not stored.
        """
        labels = (
            "result result_row left left_row left_k rows packed depth bias last_vector begun ahead"
        )
        function = self._function(f"tile_{vectors}", labels, "result left packed bias ahead")
        function.linkage = "internal"
        function.attributes.add("noinline")
        a = dict(zip(labels.split(), function.args, strict=True))
        b = ir.IRBuilder(function.append_basic_block("entry"))
        form, columns = self.form, range(vectors)
        v = Vectors(b, form)
        widths = [form.lanes] * (vectors - 1) + [a["last_vector"]]
        last_row = b.sub(a["rows"], index(1))
        rows = [smaller(b, index(m), last_row) for m in range(self.rows)]
        goals = [
            b.gep(a["result"], [b.mul(row, a["result_row"])], source_etype=form.scalar)
            for row in rows
        ]
        places = {
            (m, n): b.gep(goals[m], [index(n * form.lanes)], source_etype=form.scalar)
            for m in range(self.rows)
            for n in columns
        }
        sums = self._first(b, a, places, widths)
        starts = [
            b.gep(a["left"], [b.mul(row, a["left_row"])], source_etype=form.scalar) for row in rows
        ]
        packed = a["packed"]
        sums = accumulate(
            b, form, starts, a["left_k"], a["depth"], packed, vectors, sums, a["ahead"]
        )
        for m in range(self.rows):
            with b.if_then(b.icmp_signed("<", index(m), a["rows"])):
                for n in columns:
                    v.store(sums[m, n], places[m, n], widths[n])
        b.ret_void()
        return function

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

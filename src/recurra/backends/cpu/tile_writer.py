"""The code of a sweep: blocks of units, blocks of rows, and the values of a tile.

A tile's products accumulate in registers, pass through a buffer that never leaves the first cache,
and meet the rest of the equations there.
"""

from __future__ import annotations

from collections.abc import Mapping

import llvmlite.ir as ir

from recurra.backends.cpu.clocks import Clock, clock_of
from recurra.backends.cpu.draft import Draft
from recurra.backends.cpu.loops import carry, loop, share, smaller
from recurra.backends.cpu.micro import accumulate, fetching, prefetch
from recurra.backends.cpu.places import Places
from recurra.backends.cpu.program import is_count, is_reduction
from recurra.backends.cpu.rest import accumulate_moving, load_marks, rest_of, some_move
from recurra.backends.cpu.rules import RULES
from recurra.backends.cpu.sweep import Sweep
from recurra.backends.cpu.vectors import INT, POINTER, Vectors, index
from recurra.graph import Expression

# The next block of packed weights is fetched while a block is computed where all of them are larger
# than what a third cache keeps, and two blocks fit into a second cache; elsewhere processors fetch
# well enough by themselves.
_LARGE, _BLOCK = 2**23, 2**19  # bytes


class TileWriter:
    """Writes the part of a step that computes one sweep.

    Args:
        draft: the kernel.
        number: of the phase.
        sweep: what is computed.
    """

    def __init__(self, draft: Draft, number: int, sweep: Sweep) -> None:
        self.draft, self.number, self.sweep = draft, number, sweep
        self.form, self.tile = draft.form, sweep.tile
        self.part = draft.part(f"phase_{number}_{sweep.size}")
        self.places = Places(draft, self.part)
        self.rest = rest_of(draft, sweep)
        self.clocks = {node: clock_of(draft.program, node) for node, _ in sweep.operands}
        self.ahead = self._fetches_ahead()
        self.needed = self._needed()
        self._micros: dict[tuple[int, int], ir.Function] = {}
        if sweep.accumulations:
            entry, count = self.part.entry, self.tile.rows * self._columns * self.tile.vectors
            self.buffer = entry.alloca(self.form.vector, index(count))
            place = draft.table.load(entry, self.part.table, sweep.key)
            self.packed = entry.inttoptr(place, POINTER)

    @property
    def _columns(self) -> int:
        return len(self.sweep.accumulations)

    def _fetches_ahead(self) -> bool:
        if not self.sweep.accumulations:
            return False
        block = self._numbers_of_block() * self.form.size
        return block <= _BLOCK and self.sweep.memory(self.draft) * self.form.size > _LARGE

    def write(self) -> ir.Function:
        """The function: blocks of units one after another; of a team, each member takes some.

        Every other step goes through them in the opposite order: what it needs first was used last,
        and is in the cache still.
        """
        b, tile = self.part.body, self.tile
        count = tile.blocks + (1 if tile.last else 0)
        low, high = share(b, index(count), *self.part.team)
        turn = b.add(self.part.slot, self.draft.table.load(b, self.part.table, "turn"))
        odd = b.icmp_signed("!=", b.and_(turn, index(1)), index(0))

        def place(i: ir.Value) -> ir.Value:
            return b.select(odd, b.sub(b.add(low, b.sub(high, index(1))), i), i)

        def block(b: ir.IRBuilder, i: ir.Value) -> None:
            j, following = place(i), b.add(i, index(1))
            there = b.icmp_signed("<", following, high)
            # The next step begins with the block with which this one ends.
            ahead = b.select(there, place(following), j)
            if not tile.blocks:
                self._block(b, j, ahead, tile.last, tile.partial)
            elif not tile.last:
                self._block(b, j, ahead, tile.vectors, 0)
            else:
                with b.if_else(b.icmp_signed("<", j, index(tile.blocks))) as (whole, rest):
                    with whole:
                        self._block(b, j, ahead, tile.vectors, 0)
                    with rest:
                        self._block(b, j, ahead, tile.last, tile.partial)

        loop(b, low, high, 1, block, "units")
        return self.part.close()

    def _block(
        self, b: ir.IRBuilder, j: ir.Value, following: ir.Value, vectors: int, partial: int
    ) -> None:
        """All rows of one block of units; the last of its vectors may be partial."""
        low, high = self.part.rows
        first = b.mul(j, index(self.tile.vectors * self.form.lanes))
        if not self.sweep.accumulations:
            self._values(b, low, b.sub(high, low), first, vectors, partial)
            return
        packed, ahead = self._packed_block(b, j), self._packed_block(b, following)

        def rows(b: ir.IRBuilder, row: ir.Value) -> None:
            count = smaller(b, b.sub(high, row), index(self.tile.rows))
            line = self._line_ahead(b, b.sub(row, low), ahead)
            self._fetch(b, row, count, first, vectors)
            if self.rest is None:
                self._products(b, row, count, vectors, packed, line)
                self._values(b, row, count, first, vectors, partial)
                return
            marks = self._moving(b, row, count, first, vectors, partial, self.rest.clock)
            with b.if_else(marks) as (moving, resting):
                with moving:
                    self._products(b, row, count, vectors, packed, line)
                    self._values(b, row, count, first, vectors, partial)
                with resting:
                    self._values(b, row, count, first, vectors, partial, self.rest.results)

        loop(b, low, high, self.tile.rows, rows, "rows")

    def _fetch(
        self, b: ir.IRBuilder, row: ir.Value, count: ir.Value, first: ir.Value, vectors: int
    ) -> None:
        """Fetch what the equations of a tile read, while its products are computed."""
        lanes = self.form.lanes
        # The last number too: rows do not begin with a cache line.
        units = [*range(0, vectors * lanes, lanes), vectors * lanes - 1]

        def each_row(b: ir.IRBuilder, m: ir.Value) -> None:
            for node in self.needed:
                start = self.places.pointer(b, node, b.add(row, m))
                for unit in units:
                    place = [b.add(first, index(unit))]
                    prefetch(b, b.gep(start, place, source_etype=self.form.scalar))

        if self.needed:
            loop(b, index(0), count, 1, each_row, "fetch")

    def _needed(self) -> list[Expression]:
        """The sequences and states that the equations read, one value a unit."""
        schedule, program = self.draft.schedule, self.draft.program
        found: dict[Expression, None] = {}
        stack, seen = [*self.sweep.results], set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in schedule.leaves:
                if program.shapes[node] and node in (*program.reads, *program.states):
                    found[node] = None
            elif is_reduction(node) or is_count(node) or node.op == "constant":
                continue
            elif node in schedule.sums:
                start = schedule.sums[node].start
                stack += [] if start is None else [start]
            elif schedule.ready[node] >= self.number or schedule.again(node):
                stack += node.args
        return list(found)

    def _moving(
        self,
        b: ir.IRBuilder,
        row: ir.Value,
        count: ir.Value,
        first: ir.Value,
        vectors: int,
        partial: int,
        clock: Clock,
    ) -> ir.Value:
        """Whether a unit of a tile moves in this step."""
        full = vectors - (1 if partial else 0)

        def any_of_row(b: ir.IRBuilder, m: ir.Value, found: list[ir.Value]) -> list[ir.Value]:
            v, start = Vectors(b, self.form), self.places.pointer(b, clock.mark, b.add(row, m))
            total = found[0]
            for n in range(vectors):
                unit = b.add(first, index(n * self.form.lanes))
                place = b.gep(start, [unit], source_etype=self.form.scalar)
                marks = load_marks(clock, v, place, self.form.lanes if n < full else partial)
                total = b.or_(total, some_move(clock, v, [marks]))
            return [total]

        none = ir.Constant(ir.IntType(1), 0)
        return carry(b, count, [none], any_of_row, "marks")[0]

    def _numbers_of_block(self) -> int:
        return self.tile.vectors * self.form.lanes * self.sweep.columns(self.draft)

    def _packed_block(self, b: ir.IRBuilder, j: ir.Value) -> ir.Value:
        offset = b.mul(j, index(self._numbers_of_block()))
        return b.gep(self.packed, [offset], source_etype=self.form.scalar)

    def _line_ahead(self, b: ir.IRBuilder, row: ir.Value, ahead: ir.Value) -> ir.Value:
        """Where the tile at a row begins to fetch the next block: together they fetch all of it."""
        lines = max(1, self.sweep.vectors * self.form.lanes * self.form.size // 64)
        number = smaller(b, b.udiv(row, index(self.tile.rows)), index(lines - 1))
        depth = sum(self.draft.size(operand) for operand, _ in self.sweep.operands)
        return b.gep(ahead, [b.mul(number, index(64 * depth))], source_etype=ir.IntType(8))

    def _products(
        self,
        b: ir.IRBuilder,
        row: ir.Value,
        count: ir.Value,
        vectors: int,
        packed: ir.Value,
        ahead: ir.Value,
    ) -> None:
        arguments = [self.buffer, packed, ahead]
        for operand, _ in self.sweep.operands:
            clock = self.clocks[operand]
            for node in [operand] if clock is None else [operand, clock.mark]:
                arguments += [self.places.pointer(b, node, row), self.places.stride(node)]
        done = b.append_basic_block("products_done")
        choose = b.switch(count, done)
        for rows in range(1, self.tile.rows + 1):
            with b.goto_block(case := b.append_basic_block(f"products_{rows}")):
                b.call(self._micro(rows, vectors), arguments)
                b.branch(done)
            choose.add_case(index(rows), case)
        b.position_at_end(done)

    def _micro(self, rows: int, vectors: int) -> ir.Function:
        """The products of a tile: (buffer, packed matrices, next block, operand, stride, ...)."""
        if (rows, vectors) not in self._micros:
            self._micros[rows, vectors] = _micro(self, rows, vectors)
        return self._micros[rows, vectors]

    def _values(
        self,
        b: ir.IRBuilder,
        row: ir.Value,
        count: ir.Value,
        first: ir.Value,
        vectors: int,
        partial: int,
        instead: Mapping[Expression, Expression] | None = None,
    ) -> None:
        """The equations of a tile, vector by vector, or what stands in the place of results."""
        full = vectors - (1 if partial else 0)

        def each_row(b: ir.IRBuilder, m: ir.Value) -> None:
            at = b.add(row, m)

            def each_vector(b: ir.IRBuilder, v: ir.Value) -> None:
                unit = b.add(first, b.mul(v, index(self.form.lanes)))
                Body(self, at, unit, self.form.lanes, m, v, vectors).write(b, instead or {})

            if full:
                loop(b, index(0), index(full), 1, each_vector, "vectors")
            if partial:
                unit = b.add(first, index(full * self.form.lanes))
                Body(self, at, unit, partial, m, index(full), vectors).write(b, instead or {})

        loop(b, index(0), count, 1, each_row, "tile_rows")


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


def _micro(writer: TileWriter, rows: int, vectors: int) -> ir.Function:
    draft, sweep, form = writer.draft, writer.sweep, writer.form
    count = len(sweep.accumulations)
    given = sum(1 if writer.clocks[node] is None else 2 for node, _ in sweep.operands)
    arguments = [POINTER, POINTER, POINTER, *([POINTER, INT] * given)]
    function = draft.function(f"{sweep.key}_{rows}x{vectors}", arguments)
    function.linkage = "internal"
    function.attributes.add("noinline")
    buffer, packed, ahead, *places = function.args
    pairs = zip(places[::2], places[1::2], strict=True)
    b = ir.IRBuilder(function.append_basic_block("entry"))
    zero = ir.Constant(form.vector, [0.0] * form.lanes)
    sums = {(m, a, v): zero for m in range(rows) for a in range(count) for v in range(vectors)}

    def row_starts() -> list[ir.Value]:
        start, stride = next(pairs)
        return [
            b.gep(start, [b.mul(index(m), stride)], source_etype=form.scalar) for m in range(rows)
        ]

    for operand, users in sweep.operands:
        depth, clock, starts = draft.size(operand), writer.clocks[operand], row_starts()
        columns = [(a, v) for a, _ in users for v in range(vectors)]
        mine = {(m, n): sums[m, *columns[n]] for m in range(rows) for n in range(len(columns))}
        weights = packed, len(columns), mine
        line = ahead if writer.ahead else None
        if clock is None:
            also = None if line is None else fetching(line)
            new = accumulate(b, form, starts, index(1), index(depth), *weights, also)
        else:
            new = accumulate_moving(b, form, clock, row_starts(), starts, depth, *weights, line)
        sums |= {(m, *columns[n]): value for (m, n), value in new.items()}
        packed = b.gep(packed, [index(depth * len(columns))], source_etype=form.vector)
        ahead = b.gep(ahead, [index(64 * depth)], source_etype=ir.IntType(8))
    for (m, a, v), value in sums.items():
        place = b.gep(buffer, [index((m * count + a) * vectors + v)], source_etype=form.vector)
        b.store(value, place, align=form.size)
    b.ret_void()
    return function

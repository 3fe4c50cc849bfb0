"""The code of a sweep: blocks of units, blocks of rows, and the values of a tile.

A tile's products accumulate in registers, pass through a buffer that never leaves the first cache,
and meet the rest of the equations there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import llvmlite.ir as ir

from recurra.backends.cpu.body import Body
from recurra.backends.cpu.clocks import Clock, clock_of
from recurra.backends.cpu.draft import Draft
from recurra.backends.cpu.loops import carry, loop, share, smaller
from recurra.backends.cpu.micro import prefetch
from recurra.backends.cpu.places import Places
from recurra.backends.cpu.program import is_count
from recurra.backends.cpu.rest import load_marks, rest_of, some_move
from recurra.backends.cpu.sweep import Sweep
from recurra.backends.cpu.tile_products import Factor, TileProducts
from recurra.backends.cpu.vectors import POINTER, Vectors, index
from recurra.graph import Expression

# The next block of packed weights is fetched while a block is computed where all of them are larger
# than what a third cache keeps, and two blocks fit into a second cache; elsewhere processors fetch
# well enough by themselves.
_LARGE, _BLOCK = 2**23, 2**19  # bytes

# What is written at a builder for a block of units: its number, vectors, units of a partial one.
Block = Callable[[ir.IRBuilder, ir.Value, int, int], None]


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
        self.clocks = clocks_of(draft, sweep)
        self.factors = factors_of(sweep, self.clocks)
        self.ahead = self._fetches_ahead()
        self.needed = self._needed()
        self.buffer: ir.Value | None = None
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

        Where there are products, all rows meet a block while its weights are near, and every other
        step goes through the blocks in the opposite order: what it needs first was used last, and
        is in the cache still. Elsewhere a row comes whole, as it lies in memory.
        """
        b, tile = self.part.body, self.tile
        count = tile.blocks + (1 if tile.last else 0)
        share_of_units = share(b, index(count), *self.part.team)
        if self.sweep.accumulations:
            self._by_blocks(b, *share_of_units)
        else:
            self._by_rows(b, *share_of_units)
        return self.part.close()

    def _by_rows(self, b: ir.IRBuilder, low: ir.Value, high: ir.Value) -> None:
        """While a row is computed, the next one is fetched; units rest only where products are."""
        end = self.part.rows[1]

        def row(b: ir.IRBuilder, m: ir.Value) -> None:
            following = smaller(b, b.add(m, index(1)), b.sub(end, index(1)))

            def block(b: ir.IRBuilder, j: ir.Value, vectors: int, partial: int) -> None:
                first = b.mul(j, index(self.tile.vectors * self.form.lanes))
                self._fetch(b, following, index(1), first, vectors)
                self._values(b, m, index(1), first, vectors, partial)

            loop(b, low, high, 1, lambda b, j: self._whole_or_last(b, j, block), "units")

        loop(b, *self.part.rows, 1, row, "rows")

    def _by_blocks(self, b: ir.IRBuilder, low: ir.Value, high: ir.Value) -> None:
        turn = b.add(self.part.slot, self.draft.table.load(b, self.part.table, "turn"))
        odd = b.icmp_signed("!=", b.and_(turn, index(1)), index(0))

        def place(i: ir.Value) -> ir.Value:
            return b.select(odd, b.sub(b.add(low, b.sub(high, index(1))), i), i)

        def turned(b: ir.IRBuilder, i: ir.Value) -> None:
            j, following = place(i), b.add(i, index(1))
            there = b.icmp_signed("<", following, high)
            # The next step begins with the block with which this one ends.
            ahead = b.select(there, place(following), j)

            def block(b: ir.IRBuilder, j: ir.Value, vectors: int, partial: int) -> None:
                self._block(b, j, ahead, vectors, partial)

            self._whole_or_last(b, j, block)

        loop(b, low, high, 1, turned, "units")

    def _whole_or_last(self, b: ir.IRBuilder, j: ir.Value, block: Block) -> None:
        """A block of units: of whole vectors, or the last one, which may have fewer and less."""
        tile = self.tile
        if not tile.blocks:
            block(b, j, tile.last, tile.partial)
        elif not tile.last:
            block(b, j, tile.vectors, 0)
        else:
            with b.if_else(b.icmp_signed("<", j, index(tile.blocks))) as (whole, rest):
                with whole:
                    block(b, j, tile.vectors, 0)
                with rest:
                    block(b, j, tile.last, tile.partial)

    def _block(
        self, b: ir.IRBuilder, j: ir.Value, following: ir.Value, vectors: int, partial: int
    ) -> None:
        """All rows of one block of units; the last of its vectors may be partial."""
        low, high = self.part.rows
        first = b.mul(j, index(self.tile.vectors * self.form.lanes))
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
        """Fetch what the equations of a tile read and write, while others are computed."""
        lanes = self.form.lanes
        # The last number too: rows do not begin with a cache line.
        units = [*range(0, vectors * lanes, lanes), vectors * lanes - 1]

        def each_row(b: ir.IRBuilder, m: ir.Value) -> None:
            at = b.add(row, m)
            read = [self.places.pointer(b, node, at) for node in self.needed]
            goals = [self.places.result(b, node, at) for node in self.sweep.results]
            for writes, starts in ((False, read), (True, [one for many in goals for one in many])):
                for start in starts:
                    for unit in units:
                        place = [b.add(first, index(unit))]
                        pointer = b.gep(start, place, source_etype=self.form.scalar)
                        prefetch(b, pointer, writes)

        loop(b, index(0), count, 1, each_row, "fetch")

    def _needed(self) -> list[Expression]:
        """The sequences and states that the equations read, one value a unit.

        Not those in whose place they write as a rule: these are fetched as such.
        """
        schedule, program = self.draft.schedule, self.draft.program
        values = {*program.reads, *program.states} - {*program.overwritten}
        found: dict[Expression, None] = {}
        stack, seen = [*self.sweep.results], set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in schedule.leaves:
                if program.shapes[node] and node in values:
                    found[node] = None
            elif node in program.apart or is_count(node) or node.op == "constant":
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
                marks = load_marks(clock.rests, v, place, self.form.lanes if n < full else partial)
                total = b.or_(total, some_move(clock.rests, v, [marks]))
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
        arguments = [count, self.buffer, packed, ahead]
        for (operand, _), clock in zip(self.sweep.operands, self.clocks, strict=True):
            depth = index(self.draft.size(operand))
            arguments += [*self._rows_of(b, operand, row), depth]
            arguments += [] if clock is None else self._rows_of(b, clock.mark, row)
        products = TileProducts(self.form, self.tile.rows, vectors, self.factors, self.ahead)
        b.call(self.draft.shared(products), arguments)

    def _rows_of(self, b: ir.IRBuilder, node: Expression, row: ir.Value) -> list[ir.Value]:
        """Where a value of a row begins, and the stride to the next row."""
        return [self.places.pointer(b, node, row), self.places.stride(node)]

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
                tile = m, v, vectors
                Body(self, at, unit, self.form.lanes, tile).write(b, instead or {})

            if full:
                loop(b, index(0), index(full), 1, each_vector, "vectors")
            if partial:
                unit = b.add(first, index(full * self.form.lanes))
                tile = m, index(full), vectors
                Body(self, at, unit, partial, tile).write(b, instead or {})

        loop(b, index(0), count, 1, each_row, "tile_rows")


def clocks_of(draft: Draft, sweep: Sweep) -> list[Clock | None]:
    """For each operand of a sweep the clock by which it rests."""
    return [clock_of(draft.program, operand) for operand, _ in sweep.operands]


def factors_of(sweep: Sweep, clocks: Sequence[Clock | None]) -> tuple[Factor, ...]:
    """What the matrices of a sweep are multiplied with, by operands that have these clocks."""
    return tuple(
        Factor(tuple(number for number, _ in users), None if clock is None else clock.rests)
        for (_, users), clock in zip(sweep.operands, clocks, strict=True)
    )

"""A step program as LLVM IR: loops over time, units and rows around what its nodes say.

A tile is a few rows times a few vectors of units. Its products accumulate in registers, pass
through a buffer that never leaves the first cache, and meet the rest of the equations there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import llvmlite.ir as ir

from recurra.backends.cpu.program import StepProgram, is_count, is_reduction
from recurra.backends.cpu.rules import RULES
from recurra.backends.cpu.schedule import Accumulation, Phase, Schedule
from recurra.backends.cpu.table import Table
from recurra.backends.cpu.tile import Tile, tile_for
from recurra.backends.cpu.vectors import INT, POINTER, Format, Vectors, index, reduce_lanes
from recurra.graph import Expression

VOID = ir.VoidType()


@dataclass(frozen=True, eq=False)
class Sweep:
    """The part of a phase over values of one size.

    Attributes:
        size: numbers of a row.
        accumulations: sums of products of this size.
        results: what is written, of this size.
        tile: rows and vectors that are computed together.
        key: of the packed matrices in the table.
    """

    size: int
    accumulations: tuple[Accumulation, ...]
    results: tuple[Expression, ...]
    tile: Tile
    key: str

    @property
    def operands(self) -> list[tuple[Expression, list[tuple[int, Expression]]]]:
        """(operand, [(accumulation, matrix)]): what one loop over an operand serves."""
        groups: list[tuple[Expression, list[tuple[int, Expression]]]] = []
        for number, own in enumerate(self.accumulations):
            for product in own.products:
                matrix, operand = product.args
                for known, users in groups:
                    if known is operand and all(user != number for user, _ in users):
                        users.append((number, matrix))
                        break
                else:
                    groups.append((operand, [(number, matrix)]))
        return groups


class Kernel:
    """Writes the IR of a step program.

    Args:
        program: what is computed.
        sizes: the number behind each size letter.
        form: number format and lanes.
        accumulators: vectors that a tile may hold.
        backwards: from the last step to the first.
    """

    def __init__(
        self,
        program: StepProgram,
        sizes: Mapping[str, int],
        form: Format,
        accumulators: int,
        backwards: bool,
    ) -> None:
        self.program, self.sizes, self.form = program, sizes, form
        self.backwards = backwards
        self.schedule = Schedule(program)
        self.module = ir.Module("step")
        self.table = Table(program, self.schedule.scratch)
        self.sweeps = [
            self._sweeps(number, phase, accumulators)
            for number, phase in enumerate(self.schedule.phases)
        ]
        self._micros: dict[tuple[str, int, int], ir.Function] = {}
        parts = []
        for number, phase in enumerate(self.schedule.phases):
            parts += [self._reduction(number, node) for node in phase.reductions]
            parts += [self._sweep(number, sweep) for sweep in self.sweeps[number]]
        self._team(self._rows(parts))

    def size(self, node: Expression) -> int:
        """Numbers of a row of a value."""
        shape = self.program.shapes[node]
        return self.sizes[shape[0]] if shape else 1

    def _sweeps(self, number: int, phase: Phase, accumulators: int) -> list[Sweep]:
        sizes = dict.fromkeys(
            map(self.size, [*phase.results, *(a.root for a in phase.accumulations)])
        )
        sweeps = []
        for size in sizes:
            own = tuple(a for a in phase.accumulations if self.size(a.root) == size)
            results = tuple(node for node in phase.results if self.size(node) == size)
            tile = tile_for(size, len(own), self.form.lanes, accumulators)
            key = f"packed_{number}_{size}"
            if own:
                self.table.add(key)
            sweeps.append(Sweep(size, own, results, tile, key))
        return sweeps

    # Functions

    def _function(self, name: str, arguments: list[ir.Type]) -> ir.Function:
        function = ir.Function(self.module, ir.FunctionType(VOID, arguments), name)
        function.attributes.add("nounwind")
        return function

    def _part(self, name: str) -> tuple[ir.Function, ir.IRBuilder, ir.IRBuilder]:
        """A function of (table, step, slot, first row, last row): itself, its entry, its body."""
        function = self._function(name, [POINTER, INT, INT, INT, INT])
        function.linkage = "internal"
        for argument, label in zip(function.args, ("table", "t", "s", "low", "high"), strict=True):
            argument.name = label
        entry = ir.IRBuilder(function.append_basic_block("entry"))
        return function, entry, ir.IRBuilder(function.append_basic_block("body"))

    def _rows(self, parts: list[ir.Function]) -> ir.Function:
        """Some rows through the whole sequence."""
        function = self._function("rows", [POINTER, INT, INT])
        table, low, high = function.args
        b = ir.IRBuilder(function.append_basic_block("entry"))
        steps = self.table.load(b, table, "steps")

        def step(b: ir.IRBuilder, s: ir.Value) -> None:
            t = b.sub(b.sub(steps, index(1)), s) if self.backwards else s
            for part in parts:
                b.call(part, [table, t, s, low, high])

        loop(b, index(0), steps, 1, step, "time")
        b.ret_void()
        return function

    def _team(self, rows: ir.Function) -> None:
        """What each thread of an OpenMP team calls: its share of the rows."""
        function = self._function("team", [POINTER])
        table = function.args[0]
        b = ir.IRBuilder(function.append_basic_block("entry"))
        kind = ir.FunctionType(ir.IntType(32), [])

        def ask(name: str) -> ir.Value:
            function = b.inttoptr(self.table.load(b, table, name), kind.as_pointer())
            return b.zext(b.call(function, []), INT)

        # The team may be smaller than it was asked to be.
        me, threads = ask("thread_number"), ask("team_size")
        count = self.table.load(b, table, "rows")
        low = b.udiv(b.mul(me, count), threads)
        high = b.udiv(b.mul(b.add(me, index(1)), count), threads)
        b.call(rows, [table, low, high])
        b.ret_void()

    # Reductions

    def _reduction(self, number: int, node: Expression) -> ir.Function:
        """A row's sum, mean or maximum, from memory to memory."""
        function, entry, b = self._part(f"phase_{number}_{node.op}_{len(self.module.functions)}")
        places = Places(self, function, entry)
        size, form = self.size(node.args[0]), self.form
        fill = float("-inf") if node.op == "max" else 0.0

        def row(b: ir.IRBuilder, at: ir.Value) -> None:
            v = Vectors(b, form)
            combine = v.maximum if node.op == "max" else b.fadd
            pointer = places.pointer(b, node.args[0], at, number)
            total: ir.Value = v.const(fill)
            if size >= form.lanes:
                total = self._fold(b, pointer, size // form.lanes, total, node.op)
                v = Vectors(b, form)
                combine = v.maximum if node.op == "max" else b.fadd
            if size % form.lanes:
                offset = index(size // form.lanes * form.lanes)
                last = b.gep(pointer, [offset], source_etype=form.scalar)
                total = combine(total, v.load(last, size % form.lanes, fill))
            value = reduce_lanes(v, total, combine)
            if node.op == "mean":
                value = b.fdiv(value, ir.Constant(form.scalar, float(size)))
            b.store(value, places.result(b, node, at)[0])

        loop(b, function.args[3], function.args[4], 1, row, "row")
        b.ret_void()
        entry.branch(function.blocks[1])
        return function

    def _fold(
        self, b: ir.IRBuilder, pointer: ir.Value, count: int, start: ir.Value, op: str
    ) -> ir.Value:
        """All complete vectors of a row combined into one."""
        form = self.form
        before, inside = b.block, b.append_basic_block("fold")
        after = b.append_basic_block("folded")
        b.branch(inside)
        b.position_at_end(inside)
        k, total = b.phi(INT), b.phi(form.vector)
        k.add_incoming(index(0), before)
        total.add_incoming(start, before)
        v = Vectors(b, form)
        part = v.load(b.gep(pointer, [k], source_etype=form.vector), form.lanes)
        combined = v.maximum(total, part) if op == "max" else b.fadd(total, part)
        following = b.add(k, index(1))
        k.add_incoming(following, b.block)
        total.add_incoming(combined, b.block)
        b.cbranch(b.icmp_unsigned("<", following, index(count)), inside, after)
        b.position_at_end(after)
        return combined

    # Sweeps

    def _sweep(self, number: int, sweep: Sweep) -> ir.Function:
        function, entry, b = self._part(f"phase_{number}_{sweep.size}")
        places = Places(self, function, entry)
        writer = TileWriter(self, number, sweep, function, entry, places)
        low, high = function.args[3], function.args[4]
        tile = sweep.tile

        def block(b: ir.IRBuilder, j: ir.Value) -> None:
            writer.block(b, j, tile.vectors, 0, low, high)

        if tile.blocks:
            loop(b, index(0), index(tile.blocks), 1, block, "units")
        if tile.last:
            writer.block(b, index(tile.blocks), tile.last, tile.partial, low, high)
        b.ret_void()
        entry.branch(function.blocks[1])
        return function

    def micro(self, sweep: Sweep, rows: int, vectors: int) -> ir.Function:
        """The products of a tile: (buffer, packed matrices, operand, row stride, ...)."""
        key = (sweep.key, rows, vectors)
        if key not in self._micros:
            self._micros[key] = _micro(self, sweep, rows, vectors)
        return self._micros[key]


class Places:
    """Where values lie in memory, as one function sees it; bases are computed at its entry."""

    def __init__(self, kernel: Kernel, function: ir.Function, entry: ir.IRBuilder) -> None:
        self.kernel, self.entry = kernel, entry
        self.table, self.t, self.s = function.args[0], function.args[1], function.args[2]
        self._known: dict[tuple[str, bool], tuple[ir.Value, ir.Value]] = {}

    def _base(self, key: str, after: bool = False) -> tuple[ir.Value, ir.Value]:
        """(pointer of this step, row stride) of an entry of the table."""
        if (key, after) not in self._known:
            e, table = self.entry, self.kernel.table
            pointer = e.inttoptr(table.load(e, self.table, key), POINTER)
            row = table.load(e, self.table, key, 2)
            at = self.t
            if table.kind(key) == "state":
                at = e.add(self.s, index(1)) if after else self.s
                at = e.and_(at, table.load(e, self.table, key, 3))
            offset = e.mul(at, table.load(e, self.table, key, 1))
            base = e.gep(pointer, [offset], source_etype=self.kernel.form.scalar)
            self._known[key, after] = (base, row)
        return self._known[key, after]

    def _row(self, b: ir.IRBuilder, key: str, row: ir.Value, after: bool = False) -> ir.Value:
        base, stride = self._base(key, after)
        return b.gep(base, [b.mul(row, stride)], source_etype=self.kernel.form.scalar)

    def stride(self, node: Expression) -> ir.Value:
        """Numbers from a row of a value in memory to the next."""
        key, after = self._where(node)
        return self._base(key, after)[1]

    def pointer(self, b: ir.IRBuilder, node: Expression, row: ir.Value, phase: int) -> ir.Value:
        """The first number of a row of a value in memory."""
        key, after = self._where(node)
        return self._row(b, key, row, after)

    def _where(self, node: Expression) -> tuple[str, bool]:
        table, program = self.kernel.table, self.kernel.program
        for kind in ("read", "constant", "state", "store", "scratch"):
            key = table.find(kind, node)
            if key is not None:
                return key, False
        return table.state(program.states[program.updates.index(node)]), True

    def result(self, b: ir.IRBuilder, node: Expression, row: ir.Value) -> list[ir.Value]:
        """Everywhere a result is written: its row in each place."""
        table, program = self.kernel.table, self.kernel.program
        found = []
        for state, update in zip(program.states, program.updates, strict=True):
            if update is node:
                found.append(self._row(b, table.state(state), row, after=True))
        for kind in ("store", "scratch"):
            key = table.find(kind, node)
            if key is not None:
                found.append(self._row(b, key, row))
        return found


class TileWriter:
    """Writes one sweep: blocks of units, blocks of rows, and the values of a tile."""

    def __init__(
        self,
        kernel: Kernel,
        number: int,
        sweep: Sweep,
        function: ir.Function,
        entry: ir.IRBuilder,
        places: Places,
    ) -> None:
        self.kernel, self.number, self.sweep, self.places = kernel, number, sweep, places
        self.form, self.tile = kernel.form, sweep.tile
        self.buffer: ir.Value | None = None
        if sweep.accumulations:
            count = self.tile.rows * len(sweep.accumulations) * self.tile.vectors
            self.buffer = entry.alloca(self.form.vector, index(count))
            self.packed = entry.inttoptr(
                kernel.table.load(entry, function.args[0], sweep.key), POINTER
            )

    def block(
        self,
        b: ir.IRBuilder,
        j: ir.Value,
        vectors: int,
        partial: int,
        low: ir.Value,
        high: ir.Value,
    ) -> None:
        """All rows of one block of units; the last of its vectors may be partial."""
        first = b.mul(j, index(self.tile.vectors * self.form.lanes))
        if not self.sweep.accumulations:
            self._values(b, low, b.sub(high, low), first, vectors, partial)
            return
        numbers = (
            self.tile.vectors
            * self.form.lanes
            * sum(self.kernel.size(operand) * len(users) for operand, users in self.sweep.operands)
        )
        packed = b.gep(self.packed, [b.mul(j, index(numbers))], source_etype=self.form.scalar)

        def rows(b: ir.IRBuilder, row: ir.Value) -> None:
            left = b.sub(high, row)
            count = b.select(
                b.icmp_signed("<", left, index(self.tile.rows)), left, index(self.tile.rows)
            )
            self._products(b, row, count, vectors, packed)
            self._values(b, row, count, first, vectors, partial)

        loop(b, low, high, self.tile.rows, rows, "rows")

    def _products(
        self, b: ir.IRBuilder, row: ir.Value, count: ir.Value, vectors: int, packed: ir.Value
    ) -> None:
        arguments = [self.buffer, packed]
        for operand, _ in self.sweep.operands:
            arguments += [
                self.places.pointer(b, operand, row, self.number),
                self.places.stride(operand),
            ]
        done = b.append_basic_block("products_done")
        choose = b.switch(count, done)
        for rows in range(1, self.tile.rows + 1):
            with b.goto_block(case := b.append_basic_block(f"products_{rows}")):
                b.call(self.kernel.micro(self.sweep, rows, vectors), arguments)
                b.branch(done)
            choose.add_case(index(rows), case)
        b.position_at_end(done)

    def _values(
        self,
        b: ir.IRBuilder,
        row: ir.Value,
        count: ir.Value,
        first: ir.Value,
        vectors: int,
        partial: int,
    ) -> None:
        """The equations of a tile, vector by vector."""
        full = vectors - (1 if partial else 0)

        def each_row(b: ir.IRBuilder, m: ir.Value) -> None:
            at = b.add(row, m)

            def each_vector(b: ir.IRBuilder, v: ir.Value) -> None:
                unit = b.add(first, b.mul(v, index(self.form.lanes)))
                Body(self, at, unit, self.form.lanes, m, v, vectors).write(b)

            if full:
                loop(b, index(0), index(full), 1, each_vector, "vectors")
            if partial:
                unit = b.add(first, index(full * self.form.lanes))
                Body(self, at, unit, partial, m, index(full), vectors).write(b)

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

    def write(self, b: ir.IRBuilder) -> None:
        """All results of the phase."""
        vectors = Vectors(b, self.writer.form)
        for node in self.writer.sweep.results:
            value = self.value(vectors, node)
            for pointer in self.writer.places.result(b, node, self.row):
                place = b.gep(pointer, [self.unit], source_etype=self.writer.form.scalar)
                vectors.store(value, place, self.lanes)

    def value(self, vectors: Vectors, node: Expression) -> ir.Value:
        """The value of a node, computed or read once."""
        if node not in self.values:
            self.values[node] = self._value(vectors, node)
        return self.values[node]

    def _value(self, vectors: Vectors, node: Expression) -> ir.Value:
        schedule, number = self.writer.kernel.schedule, self.writer.number
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
        size = self.writer.kernel.sizes[spread.attribute]
        return number * size if node.op == "sum" else number

    def _read(self, vectors: Vectors, node: Expression) -> ir.Value:
        b, form = vectors.b, self.writer.form
        pointer = self.writer.places.pointer(b, node, self.row, self.writer.number)
        if self.writer.kernel.size(node) == 1 and not self.writer.kernel.program.shapes[node]:
            return vectors.splat(b.load(pointer, align=form.size, typ=form.scalar))
        place = b.gep(pointer, [self.unit], source_etype=form.scalar)
        return vectors.load(place, self.lanes)

    def _accumulated(self, vectors: Vectors, node: Expression) -> ir.Value:
        own = self.writer.kernel.schedule.sums[node]
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


def _micro(kernel: Kernel, sweep: Sweep, rows: int, vectors: int) -> ir.Function:
    form, count = kernel.form, len(sweep.accumulations)
    arguments = [POINTER, POINTER, *([POINTER, INT] * len(sweep.operands))]
    function = kernel._function(f"{sweep.key}_{rows}x{vectors}", arguments)
    function.linkage = "internal"
    function.attributes.add("noinline")
    buffer, packed, *operands = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    zero = ir.Constant(form.vector, [0.0] * form.lanes)
    sums = {(m, a, v): zero for m in range(rows) for a in range(count) for v in range(vectors)}
    for number, (operand, users) in enumerate(sweep.operands):
        depth = kernel.size(operand)
        mine = {key: sums[key] for key in sums if any(a == key[1] for a, _ in users)}
        columns = [(a, v) for a, _ in users for v in range(vectors)]
        sums |= _product(
            b,
            form,
            operands[2 * number],
            operands[2 * number + 1],
            depth,
            packed,
            columns,
            rows,
            mine,
        )
        packed = b.gep(packed, [index(depth * len(columns))], source_etype=form.vector)
    for (m, a, v), value in sums.items():
        place = b.gep(buffer, [index((m * count + a) * vectors + v)], source_etype=form.vector)
        b.store(value, place, align=form.size)
    b.ret_void()
    return function


def _product(
    b: ir.IRBuilder,
    form: Format,
    operand: ir.Value,
    stride: ir.Value,
    depth: int,
    packed: ir.Value,
    columns: list[tuple[int, int]],
    rows: int,
    sums: dict[tuple[int, int, int], ir.Value],
) -> dict[tuple[int, int, int], ir.Value]:
    """sums[m, a, v] += operand[m, :depth] @ packed[:depth, (a, v)], everything in registers."""
    starts = [
        b.gep(operand, [b.mul(index(m), stride)], source_etype=form.scalar) for m in range(rows)
    ]
    before, inside = b.block, b.append_basic_block("product")
    after = b.append_basic_block("product_done")
    b.branch(inside)
    b.position_at_end(inside)
    k = b.phi(INT)
    k.add_incoming(index(0), before)
    held = {key: b.phi(form.vector) for key in sums}
    for key, phi in held.items():
        phi.add_incoming(sums[key], before)
    base = b.gep(packed, [b.mul(k, index(len(columns)))], source_etype=form.vector)
    vectors = Vectors(b, form)
    weights = {
        column: vectors.load(b.gep(base, [index(n)], source_etype=form.vector), form.lanes)
        for n, column in enumerate(columns)
    }
    new = {}
    for m in range(rows):
        number = b.load(
            b.gep(starts[m], [k], source_etype=form.scalar), align=form.size, typ=form.scalar
        )
        splat = vectors.splat(number)
        for a, v in columns:
            new[m, a, v] = vectors.fma(splat, weights[a, v], held[m, a, v])
    following = b.add(k, index(1))
    k.add_incoming(following, inside)
    for key, phi in held.items():
        phi.add_incoming(new[key], inside)
    b.cbranch(b.icmp_unsigned("<", following, index(depth)), inside, after)
    b.position_at_end(after)
    return new


def loop(
    b: ir.IRBuilder,
    low: ir.Value,
    high: ir.Value,
    step: int,
    body: Callable[[ir.IRBuilder, ir.Value], None],
    name: str,
) -> None:
    """For i in low..high by step: body; nothing where low is not below high."""
    before = b.block
    inside, after = b.append_basic_block(name), b.append_basic_block(f"{name}_done")
    b.cbranch(b.icmp_signed("<", low, high), inside, after)
    b.position_at_end(inside)
    i = b.phi(INT, name)
    i.add_incoming(low, before)
    body(b, i)
    following = b.add(i, index(step))
    i.add_incoming(following, b.block)
    b.cbranch(b.icmp_signed("<", following, high), inside, after)
    b.position_at_end(after)

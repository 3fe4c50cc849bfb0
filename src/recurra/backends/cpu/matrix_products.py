"""Products with the matrices of rows, and such matrices mirrored: from memory to memory."""

from __future__ import annotations

from functools import partial

import llvmlite.ir as ir

from recurra.backends.cpu.draft import Draft, Part
from recurra.backends.cpu.loops import carry, loop, share
from recurra.backends.cpu.places import Places
from recurra.backends.cpu.program import unmirrored
from recurra.backends.cpu.vectors import Vectors, index, reduce_lanes
from recurra.graph import Expression

_ROWS = 4  # of a matrix that meet a vector together: their sums do not wait for one another
_VECTORS = 8  # of columns that are summed together, where columns meet a vector


def write_matrix_product(draft: Draft, number: int, node: Expression) -> ir.Function:
    """The part of a phase that multiplies a matrix of each row, as it is or mirrored."""
    write = _Mirrored if node.args[0].op == "transpose" else _Product
    return write(draft, number, node).write()


def write_mirrored(draft: Draft, number: int, node: Expression) -> ir.Function:
    """The part of a phase that mirrors a matrix of each row."""
    return _Mirror(draft, number, node).write()


class _Apart:
    """What the parts share.

    Args:
        draft: the kernel.
        number: of the phase.
        node: what is computed.
    """

    def __init__(self, draft: Draft, number: int, node: Expression) -> None:
        name = f"phase_{number}_{node.op}_{len(draft.module.functions)}"
        self.node, self.form, self.part = node, draft.form, draft.part(name)
        self.places = Places(draft, self.part)
        self.matrix = unmirrored(node if node.op == "transpose" else node.args[0])
        self.rows, self.columns = (draft.sizes[letter] for letter in draft.shape(self.matrix))

    def write(self) -> ir.Function:
        """The function: of a team, each member computes some numbers of each result."""
        part: Part = self.part
        loop(part.body, *part.rows, 1, self.row, "row")
        return part.close()

    def row(self, b: ir.IRBuilder, m: ir.Value) -> None:
        """One row of the batch."""
        raise NotImplementedError

    def at(self, b: ir.IRBuilder, start: ir.Value, numbers: ir.Value) -> ir.Value:
        """So many numbers from a place."""
        return b.gep(start, [numbers], source_etype=self.form.scalar)

    def number(self, b: ir.IRBuilder, start: ir.Value, place: ir.Value) -> ir.Value:
        """One number in every lane."""
        there = self.at(b, start, place)
        return Vectors(b, self.form).splat(
            b.load(there, align=self.form.size, typ=self.form.scalar)
        )


class _Product(_Apart):
    """M @ q: each number of the result is the sum over a row of M."""

    def row(self, b: ir.IRBuilder, m: ir.Value) -> None:
        """See `_Apart.row`."""
        matrix = self.places.pointer(b, self.matrix, m)
        vector = self.places.pointer(b, self.node.args[1], m)
        goals = self.places.result(b, self.node, m)
        low, high = share(b, index(self.rows), *self.part.team)
        most = b.add(low, b.mul(b.sdiv(b.sub(high, low), index(_ROWS)), index(_ROWS)))
        for first, end, count in ((low, most, _ROWS), (most, high, 1)):
            some = partial(self._some, matrix, vector, goals, count)
            loop(b, first, end, count, some, f"sums_of_{count}")

    def _some(
        self,
        matrix: ir.Value,
        vector: ir.Value,
        goals: list[ir.Value],
        count: int,
        b: ir.IRBuilder,
        i: ir.Value,
    ) -> None:
        lanes = self.form.lanes
        starts = [
            self.at(b, matrix, b.mul(b.add(i, index(k)), index(self.columns))) for k in range(count)
        ]

        def add(b: ir.IRBuilder, j: ir.Value, sums: list[ir.Value], width: int) -> list[ir.Value]:
            v = Vectors(b, self.form)
            other = v.load(self.at(b, vector, j), width)
            pairs = zip(starts, sums, strict=True)
            return [
                v.fma(v.load(self.at(b, start, j), width), other, sum_) for start, sum_ in pairs
            ]

        whole, rest = divmod(self.columns, lanes)
        sums: list[ir.Value] = [Vectors(b, self.form).const(0.0)] * count

        def each(b: ir.IRBuilder, k: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            return add(b, b.mul(k, index(lanes)), sums, lanes)

        if whole:
            sums = carry(b, index(whole), sums, each, "columns")
        if rest:
            sums = add(b, index(whole * lanes), sums, rest)
        for k, total in enumerate(sums):
            value = reduce_lanes(Vectors(b, self.form), total, b.fadd)
            for goal in goals:
                b.store(value, self.at(b, goal, b.add(i, index(k))))


class _Mirrored(_Apart):
    """transpose(M) @ g: rows of M are added up, each times a number of g."""

    def row(self, b: ir.IRBuilder, m: ir.Value) -> None:
        """See `_Apart.row`."""
        width = _VECTORS * self.form.lanes
        blocks, rest = divmod(self.columns, width)
        first, end = share(b, index(blocks + (1 if rest else 0)), *self.part.team)

        def block(b: ir.IRBuilder, number: ir.Value) -> None:
            column = b.mul(number, index(width))
            if not rest:
                self._block(b, m, column, width)
            elif not blocks:
                self._block(b, m, column, rest)
            else:
                with b.if_else(b.icmp_signed("<", number, index(blocks))) as (complete, last):
                    with complete:
                        self._block(b, m, column, width)
                    with last:
                        self._block(b, m, column, rest)

        loop(b, first, end, 1, block, "blocks")

    def _block(self, b: ir.IRBuilder, m: ir.Value, column: ir.Value, numbers: int) -> None:
        lanes = self.form.lanes
        widths = [min(lanes, numbers - k) for k in range(0, numbers, lanes)]
        matrix = self.at(b, self.places.pointer(b, self.matrix, m), column)
        vector = self.places.pointer(b, self.node.args[1], m)

        def each(b: ir.IRBuilder, i: ir.Value, sums: list[ir.Value]) -> list[ir.Value]:
            v, weight = Vectors(b, self.form), self.number(b, vector, i)
            start = self.at(b, matrix, b.mul(i, index(self.columns)))
            return [
                v.fma(v.load(self.at(b, start, index(k * lanes)), width), weight, sum_)
                for k, (width, sum_) in enumerate(zip(widths, sums, strict=True))
            ]

        zero = Vectors(b, self.form).const(0.0)
        sums = carry(b, index(self.rows), [zero] * len(widths), each, "matrix_rows")
        for goal in self.places.result(b, self.node, m):
            start = self.at(b, goal, column)
            for k, (width, total) in enumerate(zip(widths, sums, strict=True)):
                Vectors(b, self.form).store(total, self.at(b, start, index(k * lanes)), width)


class _Mirror(_Apart):
    """transpose(M): number by number."""

    def row(self, b: ir.IRBuilder, m: ir.Value) -> None:
        """See `_Apart.row`."""
        matrix, goals = self.places.pointer(b, self.matrix, m), self.places.result(b, self.node, m)
        low, high = share(b, index(self.columns), *self.part.team)

        def column(b: ir.IRBuilder, j: ir.Value) -> None:
            def number(b: ir.IRBuilder, i: ir.Value) -> None:
                source = self.at(b, matrix, b.add(b.mul(i, index(self.columns)), j))
                value = b.load(source, align=self.form.size, typ=self.form.scalar)
                place = b.add(b.mul(j, index(self.rows)), i)
                for goal in goals:
                    b.store(value, self.at(b, goal, place), align=self.form.size)

            loop(b, index(0), index(self.rows), 1, number, "numbers")

        loop(b, low, high, 1, column, "columns")

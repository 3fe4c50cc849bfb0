"""The products of a tile, which all kernels with tiles of the same shape share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import llvmlite.ir as ir

from recurra.backends.cpu.micro import accumulate, fetching
from recurra.backends.cpu.rest import accumulate_moving
from recurra.backends.cpu.vectors import INT, POINTER, Format, index


@dataclass(frozen=True)
class Factor:
    """An operand that matrices are multiplied with.

    Attributes:
        sums: the numbers of the sums that these products enter.
        rests: see `Clock`, if the operand is 0 where units rest.
    """

    sums: tuple[int, ...]
    rests: int | None = None

    def __str__(self) -> str:
        clock = "" if self.rests is None else f"_rests_{self.rests}"
        return ".".join(map(str, self.sums)) + clock


@dataclass(frozen=True)
class TileProducts:
    """Sums of products for some rows and vectors of units, from registers into a buffer.

    The function of (rows, buffer, packed matrices, next block, for each factor: operand, stride,
    depth and where it may rest marks and their stride). The buffer is (rows, sums, vectors).

    Attributes:
        form: number format and lanes.
        rows: of the batch, at most.
        vectors: of units.
        factors: what is multiplied.
        fetches: whether it fetches the next block, a cache line for each element of an operand.
    """

    form: Format
    rows: int
    vectors: int
    factors: tuple[Factor, ...]
    fetches: bool

    @property
    def name(self) -> str:
        """Its shape, its sums by factor, what else it does."""
        ahead = "_fetching" if self.fetches else ""
        sums = "+".join(map(str, self.factors))
        return f"products_{self.form.name}_{self.rows}x{self.vectors}_{sums}{ahead}"

    @property
    def arguments(self) -> list[ir.Type]:
        """Their types."""
        return [kind for _, kind in self._signature()]

    def _signature(self) -> list[tuple[str, ir.Type]]:
        found = [("rows", INT), *((name, POINTER) for name in ("buffer", "packed", "ahead"))]
        for n, factor in enumerate(self.factors):
            found += [(f"operand_{n}", POINTER), (f"stride_{n}", INT), (f"depth_{n}", INT)]
            if factor.rests is not None:
                found += [(f"marks_{n}", POINTER), (f"marks_stride_{n}", INT)]
        return found

    def write(self, function: ir.Function) -> None:
        """Its body: a piece of code for each number of rows."""
        for argument, (label, _) in zip(function.args, self._signature(), strict=True):
            argument.name = label
        b = ir.IRBuilder(function.append_basic_block("entry"))
        done = b.append_basic_block("products_done")
        choose = b.switch(function.args[0], done)
        for rows in range(1, self.rows + 1):
            with b.goto_block(case := b.append_basic_block(f"products_{rows}")):
                self._rows(b, rows, *function.args[1:])
                b.branch(done)
            choose.add_case(index(rows), case)
        b.position_at_end(done)
        b.ret_void()

    def _rows(
        self,
        b: ir.IRBuilder,
        rows: int,
        buffer: ir.Value,
        packed: ir.Value,
        ahead: ir.Value,
        *rest: ir.Value,
    ) -> None:
        form, vectors, given = self.form, range(self.vectors), iter(rest)
        count = 1 + max(a for factor in self.factors for a in factor.sums)
        zero = ir.Constant(form.vector, [0.0] * form.lanes)
        sums = {(m, a, v): zero for m in range(rows) for a in range(count) for v in vectors}
        for factor in self.factors:
            columns = [(a, v) for a in factor.sums for v in vectors]
            mine = {(m, n): sums[m, *at] for m in range(rows) for n, at in enumerate(columns)}
            weights = packed, len(columns), mine
            depth, new = self._factor(b, rows, factor, given, weights, ahead)
            sums |= {(m, *columns[n]): value for (m, n), value in new.items()}
            packed = b.gep(packed, [b.mul(depth, index(len(columns)))], source_etype=form.vector)
            ahead = b.gep(ahead, [b.mul(depth, index(64))], source_etype=ir.IntType(8))
        for (m, a, v), value in sums.items():
            place = index((m * count + a) * self.vectors + v)
            b.store(value, b.gep(buffer, [place], source_etype=form.vector), align=form.size)

    def _factor(
        self,
        b: ir.IRBuilder,
        rows: int,
        factor: Factor,
        given: Iterator[ir.Value],
        weights: tuple[ir.Value, int, dict[tuple[int, int], ir.Value]],
        ahead: ir.Value,
    ) -> tuple[ir.Value, dict[tuple[int, int], ir.Value]]:
        """(depth, sums) after one factor."""
        form, line = self.form, ahead if self.fetches else None
        starts, depth = self._starts(b, rows, next(given), next(given)), next(given)
        if factor.rests is None:
            also = None if line is None else fetching(line)
            return depth, accumulate(b, form, starts, index(1), depth, *weights, also)
        marks, rests = self._starts(b, rows, next(given), next(given)), factor.rests
        return depth, accumulate_moving(b, form, rests, marks, starts, depth, *weights, line)

    def _starts(
        self, b: ir.IRBuilder, rows: int, start: ir.Value, stride: ir.Value
    ) -> list[ir.Value]:
        """Where each row begins."""
        places = [b.mul(index(m), stride) for m in range(rows)]
        return [b.gep(start, [place], source_etype=self.form.scalar) for place in places]

"""The inner loop of every product: rows times columns of vectors, summed in registers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import llvmlite.ir as ir

from recurra.backends.cpu.loops import carry
from recurra.backends.cpu.vectors import POINTER, Format, Vectors, index

Place = tuple[int, int]  # (row, column)
Also = Callable[[ir.IRBuilder, ir.Value], None]  # what is written at the place of a builder, for k


def accumulate(
    b: ir.IRBuilder,
    form: Format,
    starts: Sequence[ir.Value],
    stride: ir.Value,
    depth: ir.Value,
    packed: ir.Value,
    columns: int,
    sums: Mapping[Place, ir.Value],
    also: Also | None = None,
) -> dict[Place, ir.Value]:
    """sums[m, n] += row m[k] * packed[k, n] for all k below the depth.

    Args:
        b: at the end of a block; afterwards at the end of a new one.
        form: number format and lanes.
        starts: for each row, where it begins.
        stride: numbers from one element of a row to the next.
        depth: elements of a row, at least 1.
        packed: vectors (depth, columns).
        columns: vectors for each k.
        sums: what the sums start with, for the places that this product enters.
        also: what else is done for each k.
    """
    places = list(sums)

    def body(b: ir.IRBuilder, k: ir.Value, held: list[ir.Value]) -> list[ir.Value]:
        v, at = Vectors(b, form), dict(zip(places, held[1:], strict=True))
        base = b.gep(packed, [b.mul(k, index(columns))], source_etype=form.vector)
        if also is not None:
            also(b, k)

        def weight(n: int) -> ir.Value:
            return v.load(b.gep(base, [index(n)], source_etype=form.vector), form.lanes)

        def number(m: int) -> ir.Value:
            place = b.gep(starts[m], [held[0]], source_etype=form.scalar)
            return v.splat(b.load(place, align=form.size, typ=form.scalar))

        # The fewer of both are held in registers, the others come one by one.
        if len(starts) < columns:
            numbers = [number(m) for m in range(len(starts))]
            pairs = (
                (m, n, numbers[m], x)
                for n in range(columns)
                for x in (weight(n),)
                for m in range(len(starts))
            )
        else:
            weights = [weight(n) for n in range(columns)]
            pairs = (
                (m, n, x, weights[n])
                for m in range(len(starts))
                for x in (number(m),)
                for n in range(columns)
            )
        for m, n, x, w in pairs:
            if (m, n) in at:
                at[m, n] = v.fma(x, w, at[m, n])
        return [b.add(held[0], stride), *at.values()]

    _, *totals = carry(b, depth, [index(0), *sums.values()], body, "product")
    return dict(zip(places, totals, strict=True))


def fetching(memory: ir.Value) -> Also:
    """For each k, one more cache line of memory that is read soon after is fetched."""

    def fetch(b: ir.IRBuilder, k: ir.Value) -> None:
        prefetch(b, b.gep(memory, [b.mul(k, index(64))], source_etype=ir.IntType(8)))

    return fetch


def prefetch(b: ir.IRBuilder, pointer: ir.Value, writes: bool = False) -> None:
    """Fetch a cache line into the second cache, or for writing; harmless at any address."""
    name = "llvm.prefetch.p0"
    kind = ir.IntType(32)
    function = b.module.globals.get(name)
    if function is None:
        types = [POINTER, kind, kind, kind]
        function = ir.Function(b.module, ir.FunctionType(ir.VoidType(), types), name)
    b.call(function, [pointer, *(ir.Constant(kind, value) for value in (int(writes), 2, 1))])

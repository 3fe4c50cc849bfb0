"""The inner loop of every product: rows times columns of vectors, summed in registers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import llvmlite.ir as ir

from recurra.backends.cpu.loops import carry
from recurra.backends.cpu.vectors import POINTER, Format, Vectors, index

Place = tuple[int, int]  # (row, column)


def accumulate(
    b: ir.IRBuilder,
    form: Format,
    starts: Sequence[ir.Value],
    stride: ir.Value,
    depth: ir.Value,
    packed: ir.Value,
    columns: int,
    sums: Mapping[Place, ir.Value],
    ahead: ir.Value | None = None,
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
        ahead: memory that is read soon after: a cache line of it is fetched for each k.
    """
    places = list(sums)

    def body(b: ir.IRBuilder, k: ir.Value, held: list[ir.Value]) -> list[ir.Value]:
        v, at = Vectors(b, form), dict(zip(places, held[1:], strict=True))
        base = b.gep(packed, [b.mul(k, index(columns))], source_etype=form.vector)
        weights = [
            v.load(b.gep(base, [index(n)], source_etype=form.vector), form.lanes)
            for n in range(columns)
        ]
        if ahead is not None:
            prefetch(b, b.gep(ahead, [b.mul(k, index(64))], source_etype=ir.IntType(8)))
        for m, start in enumerate(starts):
            place = b.gep(start, [held[0]], source_etype=form.scalar)
            number = v.splat(b.load(place, align=form.size, typ=form.scalar))
            for n in range(columns):
                if (m, n) in at:
                    at[m, n] = v.fma(number, weights[n], at[m, n])
        return [b.add(held[0], stride), *at.values()]

    _, *totals = carry(b, depth, [index(0), *sums.values()], body, "product")
    return dict(zip(places, totals, strict=True))


def prefetch(b: ir.IRBuilder, pointer: ir.Value) -> None:
    """Fetch a cache line into the second cache; harmless at any address."""
    name = "llvm.prefetch.p0"
    kind = ir.IntType(32)
    function = b.module.globals.get(name)
    if function is None:
        types = [POINTER, kind, kind, kind]
        function = ir.Function(b.module, ir.FunctionType(ir.VoidType(), types), name)
    b.call(function, [pointer, *(ir.Constant(kind, value) for value in (0, 2, 1))])

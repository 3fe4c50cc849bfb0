"""A sweep: the part of a phase over values of one size, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import llvmlite.ir as ir

from recurra.backends.cpu.draft import Draft
from recurra.backends.cpu.loops import loop, share
from recurra.backends.cpu.packing import Packing
from recurra.backends.cpu.schedule import Accumulation, Phase
from recurra.backends.cpu.tile import Tile, tile_for
from recurra.backends.cpu.vectors import INT, POINTER, index
from recurra.graph import Expression


@dataclass(frozen=True, eq=False)
class Sweep:
    """The part of a phase over values of one size.

    Attributes:
        size: numbers of a row.
        accumulations: sums of products of this size.
        results: what is written, of this size.
        tile: rows and vectors that are computed together.
        key: of the packed matrices in the table.
        matrix: (rows, columns) of each value, if these are matrices.
    """

    size: int
    accumulations: tuple[Accumulation, ...]
    results: tuple[Expression, ...]
    tile: Tile
    key: str
    matrix: tuple[int, int] | None = None

    @property
    def form(self) -> str:
        """Of its matrices, as "3x4"; nothing if it has none."""
        return "x".join(map(str, self.matrix or ()))

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

    @property
    def vectors(self) -> int:
        """Vectors of weights that a block of units reads for each of its operands' elements."""
        return self.tile.vectors * max(len(users) for _, users in self.operands)

    def columns(self, draft: Draft) -> int:
        """Weights of a unit: elements of each operand, times the products that read it."""
        return sum(draft.size(operand) * len(users) for operand, users in self.operands)

    def memory(self, draft: Draft) -> int:
        """Numbers that its packed matrices take."""
        tile = self.tile
        return self.columns(draft) * draft.form.lanes * (tile.blocks * tile.vectors + tile.last)


def sweeps_of(draft: Draft, number: int, phase: Phase, accumulators: int) -> list[Sweep]:
    """The sweeps of a phase; those with products get an entry of the table."""
    matrices = dict.fromkeys(node for node in phase.results if len(draft.shape(node)) == 2)
    vectors = [node for node in phase.results if node not in matrices]
    sizes = dict.fromkeys(map(draft.size, [*vectors, *(a.root for a in phase.accumulations)]))
    sweeps = []
    for size in sizes:
        own = tuple(a for a in phase.accumulations if draft.size(a.root) == size)
        results = tuple(node for node in vectors if draft.size(node) == size)
        tile = tile_for(size, len(own), draft.form.lanes, accumulators)
        key = f"packed_{number}_{size}"
        if own:
            draft.table.add(key)
        sweeps.append(Sweep(size, own, results, tile, key))
    return sweeps + _sweeps_of_matrices(draft, matrices)


def _sweeps_of_matrices(draft: Draft, nodes: Iterable[Expression]) -> list[Sweep]:
    groups: dict[tuple[int, int], list[Expression]] = {}
    for node in nodes:
        rows, columns = (draft.sizes[letter] for letter in draft.shape(node))
        groups.setdefault((rows, columns), []).append(node)
    return [
        Sweep(math.prod(shape), (), tuple(group), Tile(1, 1, 0, 0, 0), "", shape)
        for shape, group in groups.items()
    ]


def write_packing(draft: Draft, sweeps: list[Sweep]) -> None:
    """The function `pack` of (table, member, team): matrices in the order in which tiles read them.

    For each block of units and operand: (depth, accumulation, vector, lane); missing units are 0.
    """
    function = draft.function("pack", [POINTER, INT, INT])
    table, me, team = function.args
    table.name, me.name, team.name = "table", "me", "team"
    b = ir.IRBuilder(function.append_basic_block("entry"))
    for sweep in sweeps:
        tile = sweep.tile
        packed = b.inttoptr(draft.table.load(b, table, sweep.key), POINTER)
        low, high = share(b, index(tile.blocks), me, team)

        whole = partial(_pack_block, draft, sweep, table, packed, tile.vectors, 0)
        loop(b, low, high, 1, whole, "blocks")
        if tile.last:
            with b.if_then(b.icmp_signed("==", me, index(0))):
                last = (tile.last, tile.partial, b, index(tile.blocks))
                _pack_block(draft, sweep, table, packed, *last)
    b.ret_void()


def _pack_block(
    draft: Draft,
    sweep: Sweep,
    table: ir.Value,
    packed: ir.Value,
    vectors: int,
    partial_units: int,
    b: ir.IRBuilder,
    j: ir.Value,
) -> None:
    """The weights of one block of units; the last of its vectors may be partial."""
    form, pack = draft.form, draft.shared(Packing(draft.form))
    width = sweep.tile.vectors * form.lanes
    at = b.mul(j, index(sweep.columns(draft) * width))
    for operand, users in sweep.operands:
        depth, step = draft.size(operand), len(users) * vectors * form.lanes
        for place, (_, matrix) in enumerate(users):
            key = draft.table.key("matrix", matrix)
            source = b.inttoptr(draft.table.load(b, table, key), POINTER)
            unit_stride = draft.table.load(b, table, key, 1)
            depth_stride = draft.table.load(b, table, key, 2)
            for v in range(vectors):
                units = partial_units if partial_units and v == vectors - 1 else form.lanes
                offset = b.add(at, index((place * vectors + v) * form.lanes))
                first = b.add(b.mul(j, index(width)), index(v * form.lanes))
                start = b.gep(source, [b.mul(first, unit_stride)], source_etype=form.scalar)
                to = b.gep(packed, [offset], source_etype=form.scalar)
                strides = unit_stride, depth_stride
                b.call(pack, [to, index(step), start, *strides, index(depth), index(units)])
        at = b.add(at, index(depth * step))

"""The shape of a tile: as many products in registers as the processor holds, with few loads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tile:
    """Rows and vectors of units that are computed together.

    Attributes:
        rows: of the batch.
        vectors: of units, for each accumulation.
        blocks: blocks of `vectors` complete vectors.
        last: vectors of the block after them, 0 if there is none.
        partial: units in the last of these vectors, 0 if it is complete.
    """

    rows: int
    vectors: int
    blocks: int
    last: int
    partial: int


def tile_for(size: int, accumulations: int, lanes: int, registers: int) -> Tile:
    """The tile for values of `size` numbers; without accumulations one vector of any rows."""
    rows, vectors = (
        shape_of_tile(accumulations, -(-size // lanes), registers) if accumulations else (1, 1)
    )
    complete, partial = divmod(size, lanes)
    blocks = complete // vectors
    last = complete - blocks * vectors + (1 if partial else 0)
    return Tile(rows, vectors, blocks, last, partial)


def shape_of_tile(accumulations: int, most_vectors: int, registers: int) -> tuple[int, int]:
    """(rows, vectors) with the most products for each load."""
    best = (1, 1)
    best_ratio = 0.0
    for vectors in range(1, most_vectors + 1):
        columns = accumulations * vectors
        rows = min(registers // columns, 8)
        if rows < 1:
            break
        ratio = rows * columns / (rows + columns)
        if ratio > best_ratio + 1e-9:
            best, best_ratio = (rows, vectors), ratio
    return best

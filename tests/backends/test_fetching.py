"""What is fetched ahead of its use: packed weights, and what equations read and write."""

from __future__ import annotations

import pytest
import torch

from recurra import cells
from recurra.backends.cpu import tile_writer
from recurra.backends.cpu.compiled import Split
from recurra.backends.cpu.kernel import Kernel
from recurra.backends.cpu.target import host, target_for
from support.fused import fused, layer_of
from support.targets import compiling_for

AVX512 = target_for("x86-64-v4", {"avx512f": True})


def functions(size: int, backwards: bool, cell: str, name: str) -> list[str]:
    """The functions of a kernel whose names begin so; for AVX-512 in float32."""
    cut = Split(cells.get(cell).graph)
    program = cut.backward.program if backwards else cut.forward
    sizes = {letter: size for shape in program.shapes.values() for letter in shape}
    kernel = Kernel(program, sizes, AVX512.form(32), AVX512.accumulators, backwards)
    return [str(f) for f in kernel.complete().functions if f.name.startswith(name)]


def fetching_products(size: int, backwards: bool, cell: str = "lstm") -> set[bool]:
    """For the products of a kernel's tiles, whether they fetch."""
    products = functions(size, backwards, cell, "products_")
    return {"llvm.prefetch" in function for function in products}


@pytest.mark.parametrize(
    ("size", "backwards", "fetches"),
    [
        (650, False, False),  # 6.8 MB of packed weights
        (1024, False, True),  # 16.8 MB, in blocks of 256 kB
        (1024, True, False),  # in blocks of 1 MB
    ],
)
def test_large_weights_in_small_blocks_are_fetched(size, backwards, fetches):
    assert fetching_products(size, backwards) == {fetches}


@pytest.mark.parametrize("cell", ["lstm", "clockwork"])
def test_fetching_changes_no_bit(cell, monkeypatch):
    layer, x = layer_of(cell, 3, 150, torch.float32), torch.randn(5, 13, 3)
    with compiling_for(host()):
        expected = fused(layer, x)
    monkeypatch.setattr(tile_writer, "_LARGE", -1)
    assert fetching_products(150, False, cell) == {True}
    with compiling_for(host()):
        found = fused(layer, x)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def fetches(function: str, writes: bool) -> int:
    """How many cache lines a piece of code fetches, to read or to write them."""
    return sum(
        "@llvm.prefetch" in line.replace('"', "") and f", i32 {int(writes)}, i32 2" in line
        for line in function.splitlines()
    )


@pytest.mark.parametrize("cell", ["lstm", "minlstm"])
def test_equations_fetch_what_they_read_and_what_they_write(cell):
    (phase,) = functions(64, False, cell, "phase_")
    products = {"lstm": 4, "minlstm": 3}[cell]
    states = {"lstm": ["h", "c"], "minlstm": ["h"]}[cell]
    read = products + 1  # and the state that the equations read: c, or h
    assert fetches(phase, writes=False) == 2 * read  # the first and the last number of a vector
    assert fetches(phase, writes=True) == 2 * len(states)


def test_rows_come_whole_where_there_are_no_products():
    """As they lie in memory: the loop over units is inside the loop over rows."""
    (alone,), (tiles,) = (functions(64, False, cell, "phase_") for cell in ("minlstm", "lstm"))
    assert alone.index("rows:") < alone.index("units:")
    assert tiles.index("units:") < tiles.index("rows:")

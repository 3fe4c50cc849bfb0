"""Where packed weights are fetched ahead of their use, and that it changes no bit of a result."""

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


def fetching_products(size: int, backwards: bool, cell: str = "lstm") -> set[bool]:
    """For the products of a kernel's tiles, whether they fetch; on AVX-512 in float32."""
    cut = Split(cells.get(cell).graph)
    program = cut.backward.program if backwards else cut.forward
    sizes = {letter: size for shape in program.shapes.values() for letter in shape}
    kernel = Kernel(program, sizes, AVX512.form(32), AVX512.accumulators, backwards)
    products = [f for f in kernel.module.functions if f.name.startswith("packed_")]
    return {"llvm.prefetch" in str(function) for function in products}


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

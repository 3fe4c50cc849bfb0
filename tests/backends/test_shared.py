"""Functions that many kernels call: compiled once, found again, never mistaken for one another."""

from __future__ import annotations

import ctypes
from dataclasses import replace

import torch

from recurra import cells
from recurra.backends.cpu import target as targets
from recurra.backends.cpu.compiled import compiled
from recurra.backends.cpu.shared import code_of
from recurra.backends.cpu.target import Code, host
from recurra.backends.cpu.tile_products import Factor, TileProducts
from support.fused import assert_same, layer_of

ANSWER = 'define void @"answer"(ptr %to) {{ store i64 {}, ptr %to ret void }}'
ASK = """
declare void @"answer"(ptr)
define void @"ask"(ptr %to) { call void @"answer"(ptr %to) ret void }
"""


def machines(size):
    own = compiled(cells.get("lstm").graph, (("H", size), ("I", 3)), 32)
    return own.inference, own.training, own.gradients


def test_kernels_share_their_products():
    """Of tiles of one shape, whatever the sizes, and whatever is kept."""
    first, second = machines(320), machines(384)
    for few, many in zip(first, second, strict=True):
        assert few.kernel.calls.keys() == many.kernel.calls.keys()
        assert any(isinstance(one, TileProducts) for one in few.kernel.calls.values())
        assert "fmuladd" in str(few.kernel.module)  # of the equations
        assert not [f for f in few.kernel.module.functions if f.blocks and "products" in f.name]
    assert first[0].kernel.calls == first[1].kernel.calls != first[2].kernel.calls


def test_a_second_layer_compiles_no_products_again(monkeypatch):
    made = []
    compile_it = targets.object_code
    monkeypatch.setattr(
        targets, "object_code", lambda text, target: made.append(text) or compile_it(text, target)
    )
    for size in (65, 71):  # sizes of no other test here
        before = len(made)
        assert_same(layer_of("ugrnn", 3, size, torch.float32), torch.randn(4, 7, 3))
    again = made[before:]
    assert again
    assert not [text for text in again if "products_" in text.split("{")[0]]


def test_other_functions_have_other_names():
    """Each of these differs from the first in one thing."""
    form, factors = host().form(32), (Factor((0, 1)), Factor((1, 10)))
    first = TileProducts(form, 3, 2, factors, fetches=False)
    others = [
        replace(first, form=host().form(64)),
        replace(first, rows=4),
        replace(first, vectors=3),
        replace(first, fetches=True),
        replace(first, factors=factors[::-1]),
        replace(first, factors=factors[:1]),
        replace(first, factors=(Factor((0, 1, 1, 10)),)),
        replace(first, factors=(Factor((0, 1)), Factor((11, 0)))),
        replace(first, factors=(Factor((0, 1)), Factor((1, 1, 0)))),
        replace(first, factors=(factors[0], replace(factors[1], rests=1))),
        replace(first, factors=(factors[0], replace(factors[1], rests=2))),
        replace(first, factors=(replace(factors[0], rests=1), factors[1])),
    ]
    assert len({one.name for one in [first, *others]}) == 1 + len(others)


def test_products_are_those_of_torch():
    """One function by itself: rows of a batch times packed matrices, two factors, three sums."""
    form, rows, vectors, depths = host().form(64), 3, 2, (5, 7)
    factors = (Factor((0, 2)), Factor((1, 0)))
    products = TileProducts(form, rows, vectors, factors, fetches=False)
    function = code_of(products, host()).address(products.name)
    operands = [torch.randn(rows, depth, dtype=torch.float64) for depth in depths]
    packed = [torch.randn(d, 2, vectors, form.lanes, dtype=torch.float64) for d in depths]
    together = torch.cat([part.flatten() for part in packed])
    buffer = torch.full((rows, 3, vectors, form.lanes), torch.nan, dtype=torch.float64)
    call = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * 3, *[ctypes.c_int64] * 6)
    given = [n for x in operands for n in (x.data_ptr(), x.stride(0), x.shape[1])]
    call(function)(rows, buffer.data_ptr(), together.data_ptr(), together.data_ptr(), *given)
    expected = torch.zeros_like(buffer)
    for factor, operand, part in zip(factors, operands, packed, strict=True):
        for place, number in enumerate(factor.sums):
            expected[:, number] += torch.einsum("bk,kvl->bvl", operand, part[:, place])
    torch.testing.assert_close(buffer, expected)


def test_code_calls_the_functions_that_it_was_given(monkeypatch, tmp_path):
    """Also from disk: code is kept for what it calls, whose meaning may change with a release."""
    monkeypatch.setenv("RECURRA_CACHE", str(tmp_path))
    for _ in range(2):
        for number in (7, 8):
            answer = Code(ANSWER.format(number), host())
            ask = Code(ASK, host(), {"answer": answer})
            found = ctypes.c_int64()
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ask.address("ask"))(ctypes.addressof(found))
            assert found.value == number
    assert len(list(tmp_path.iterdir())) == 4

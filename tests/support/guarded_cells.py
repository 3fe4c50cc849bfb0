"""Cells at ugly sizes between guard pages: `python -m support.guarded_cells TARGET`.

Each case is printed before it runs, so that the last line names the one that ended the process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from recurra import Recurrent
from recurra.backends.cpu.vectors import Vectors
from recurra.graph import cell, tanh
from support import guarded
from support.fused import fused, layer_of, plain
from support.targets import compiling_for, runnable

CELLS = ("lstm", "gru_reset_before", "lstm_layernorm")
SIZES = (1, 3, 17, 63)
CALLS = ((1, 1), (1, 2), (2, 7))  # T, B


@cell(state="h", shapes={"scale": "H", "push": "H"})
def driven(p, x, scale, push, h):
    """A step that reads a sequence as it is given, without a product before."""
    h = tanh(p.W @ x + p.U @ h) * scale + push
    return h


def cases(target: str) -> Iterator[tuple[str, Recurrent, int, int, dict[str, Any]]]:
    """(name, layer, T, B, further arguments)."""
    for name in CELLS:
        for h in SIZES if (name, target) == ("lstm", "avx512") else SIZES[2:3]:
            layer = layer_of(name, 5, h, torch.float64)
            for t, b in CALLS:
                yield f"{name} H{h}", layer, t, b, {}
    for dtype in (torch.float32, torch.float64):
        yield f"gru H500 {dtype}", layer_of("gru", 3, 500, dtype), 2, 3, {}
    layer = layer_of("mlstm", 5, 17, torch.float64)
    yield "mlstm step by step", layer, 3, 2, {}
    yield "mlstm in a chunk", layer, 9, 2, {}
    layer = layer_of("lstm", 5, 17, torch.float64)
    yield "lstm lengths", layer, 4, 4, {"lengths": torch.tensor([4, 0, 2, 1])}
    yield "lstm one row of length 0", layer, 2, 1, {"lengths": torch.tensor([0])}


def compare(name: str, mine: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    """The same names, and the same values to rounding."""
    assert list(mine) == list(other)
    for key, value in mine.items():
        tolerance = 1e-10 if value.dtype is torch.float64 else 3e-5
        torch.testing.assert_close(
            value,
            other[key],
            rtol=tolerance,
            atol=tolerance,
            msg=lambda text, key=key: f"{name}, {key}: {text}",
        )


def guarded_copy(value: Tensor, layout: str) -> Tensor:
    """The same numbers between guard pages."""
    return guarded.empty(tuple(value.shape), value.dtype, layout).copy_(value)


def run(target: str) -> int:
    """Every case in every layout; the number of them."""
    count = 0
    for name, layer, t, b, call in cases(target):
        x = torch.randn(t, b, layer.input_size, dtype=next(layer.parameters()).dtype)
        expected = plain(layer, x, **call)
        for layout in guarded.LAYOUTS:
            print(f"{name} T{t} B{b}, {layout}", flush=True)
            with guarded.guards(layout):
                found = fused(layer, guarded_copy(x, layout), **call)
            compare(name, found, expected)
            del found
            count += 1
        guarded.check()
    return count


def arrangements(layout: str) -> Iterator[tuple[str, Tensor]]:
    """A sequence (4, 5, 17) in every arrangement of its memory."""
    base = guarded.empty((6, 5, 40), torch.float64, layout).normal_()
    yield "whole", guarded_copy(base[:4, :, :17], layout)
    yield "offset", base[2:, :, 23:]
    yield "transposed", guarded_copy(base[:4, :, :17].transpose(0, 1), layout).transpose(0, 1)
    yield "every other", base[:4, :, 1:35:2]
    yield "columns", guarded_copy(base[:4, :, :17].mT, layout).mT
    yield "same in every step", base[:1, :, :17].expand(4, 5, 17)
    yield "same in every row", base[:4, :1, :17].expand(4, 5, 17)
    yield "one row", base[:1, :1, :17].expand(4, 5, 17)
    yield "one number", base[:1, :1, :1].expand(4, 5, 17)


def run_arrangements() -> int:
    """A cell that reads sequences as they are given, in every arrangement."""
    layer = Recurrent(driven, 3, 17, dtype=torch.float64)
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    count = 0
    for layout in guarded.LAYOUTS:
        for name, value in arrangements(layout):
            print(f"driven, {name}, {layout}", flush=True)
            expected = plain(layer, x, inputs={"scale": value.clone(), "push": value.clone()})
            with guarded.guards(layout):
                found = fused(
                    layer, guarded_copy(x, layout), inputs={"scale": value, "push": value}
                )
            compare(name, found, expected)
            count += 1
    return count


def main(target: str, defect: str = "") -> None:
    """Run all; `defect` breaks the kernels on purpose."""
    if defect == "store":
        store = Vectors.store
        Vectors.store = lambda v, value, place, count: store(v, value, place, v.form.lanes)
    if defect == "load":
        load = Vectors.load
        Vectors.load = lambda v, place, count, fill=0.0: load(v, place, v.form.lanes)
    goal = runnable()[target]
    assert goal is not None
    with compiling_for(goal):
        print("cases:", run(target) + run_arrangements())


if __name__ == "__main__":
    main(*sys.argv[1:])

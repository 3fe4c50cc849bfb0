"""Large products outside the time loop, in kernels of this backend.

torch multiplies float32 matrices with MKL, which runs at less than half speed on AMD's processors,
and its sums depend on the number of threads. These do not.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import llvmlite.ir as ir
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from recurra.backends.cpu import memory, threads
from recurra.backends.cpu.matmul import FIELDS, Matmul
from recurra.backends.cpu.sheet import Sheet, Span
from recurra.backends.cpu.target import Code, Target, host, made_once

BITS = {torch.float32: 32, torch.float64: 64}
FORMATS = {bits: dtype for dtype, bits in BITS.items()}
_PIECE = 768  # elements of the depth at a time, so that a packed panel stays in the second cache
_PLAIN = (Tensor, torch.nn.Parameter)  # what PyTorch traces is neither
_SMALL = 2**17  # multiplications below which a second thread costs more than it saves


@dataclass(frozen=True)
class Compiled:
    """The kernel for products of float32 or float64, and the address of its function."""

    matmul: Matmul
    share: int


@lru_cache(maxsize=2)
def compiled(bits: int) -> Compiled:
    """See `Compiled`."""
    matmul = _matmul(ir.Module("matmul"), bits, host())
    return Compiled(matmul, _code(bits, host()).address("share"))


@made_once
def _code(bits: int, target: Target) -> Code:
    module = ir.Module("matmul")
    _matmul(module, bits, target)
    return Code(str(module), target)


def _matmul(module: ir.Module, bits: int, target: Target) -> Matmul:
    return Matmul(module, target.form(bits), target.accumulators)


@dataclass(frozen=True)
class Extent:
    """The sizes of a product and how it is cut; the fields of its table that are no addresses.

    Attributes:
        matmul: the kernel.
        numbers: by field.
        team: how many threads share it.
        packed: numbers of packed memory for all members of the team: left, right.
    """

    matmul: Compiled
    numbers: dict[str, int]
    team: int
    packed: tuple[int, int]

    @classmethod
    def of(
        cls,
        bits: int,
        left: tuple[tuple[int, ...], tuple[int, ...]],
        right: tuple[tuple[int, ...], tuple[int, ...]],
        sums: bool,
    ) -> Extent:
        """The product of left (M, K) and right (K, N), each given by its shape and strides."""
        (rows, depth), (_, columns) = left[0], right[0]
        own = compiled(bits)
        pieces = -(-depth // _PIECE)
        piece = -(-depth // pieces)
        team = torch.get_num_threads() if rows * columns * depth > _SMALL else 1
        direct = left[1][1] == 1 and not sums
        packed = own.matmul.memory_of_a_member(columns, piece, direct)
        numbers = {
            **{"rows": rows, "columns": columns, "depth": depth, "piece": piece},
            **{"direct": int(direct), "begun": 0, "own_right": packed[1]},
            **dict(zip(("left_row", "left_k"), left[1], strict=True)),
            **dict(zip(("right_k", "right_column"), right[1], strict=True)),
        }
        return cls(own, numbers, team, (team * packed[0], team * packed[1]))


def multiply(
    left: Tensor, right: Tensor, bias: Tensor | None = None, sums: Tensor | None = None
) -> Tensor:
    """The product (M, N) of left (M, K) and right (K, N), plus a bias (N,), all of one format.

    Args:
        left: in each row or each column, numbers stand side by side.
        right: likewise.
        bias: added to every row.
        sums: (M,), receives the sums of the rows of `left`, whose columns then stand side by side.
    """
    (rows, depth), columns = left.shape, right.shape[1]
    result = memory.empty(left, rows, columns)
    if not depth:
        return result.zero_() if bias is None else result.copy_(bias.expand(rows, columns))
    if 1 not in left.stride():
        left = left.contiguous()
    shapes = (left.shape, left.stride()), (right.shape, right.stride())
    extent = Extent.of(BITS[left.dtype], *shapes, sums is not None)
    packed_left, packed_right = memory.work(*(left.element_size() * n for n in extent.packed))
    bias = zeros(columns, left.dtype) if bias is None else bias.contiguous()
    numbers = {
        **extent.numbers,
        **{"left": left.data_ptr(), "right": right.data_ptr(), "bias": bias.data_ptr()},
        **{"result": result.data_ptr(), "result_row": result.stride(0)},
        **{"sums": 0 if sums is None else sums.data_ptr()},
        **{"packed_left": packed_left, "packed_right": packed_right},
    }
    table = (ctypes.c_int64 * len(FIELDS))(*(numbers[name] for name in FIELDS))
    threads.run(extent.matmul.share, ctypes.addressof(table), extent.team)
    return result


def add_product(
    sheet: Sheet,
    result: Span,
    left: Span,
    right: Span,
    bias: Span | None = None,
    sums: Span | None = None,
    begun: bool = False,
) -> None:
    """A part of a sheet: the product of `multiply`, of at least one row, column and depth.

    Args:
        sheet: where it goes.
        result: (M, N), numbers of a row side by side.
        left, right, bias, sums: see `multiply`.
        begun: whether the product is added to what the result holds.
    """
    bits = 8 * sheet.size
    shapes = (left.shape, left.strides), (right.shape, right.strides)
    extent = Extent.of(bits, *shapes, sums is not None)
    at = sheet.table(len(FIELDS))
    place = {name: at + number for number, name in enumerate(FIELDS)}
    for name, number in extent.numbers.items():
        sheet.put(place[name], number)
    sheet.put(place["begun"], int(begun))
    sheet.put(place["result_row"], result.strides[0])
    room = {
        f"packed_{side}": sheet.room((n,))
        for side, n in zip(("left", "right"), extent.packed, strict=True)
    }
    spans = {"left": left, "right": right, "result": result, "bias": bias, "sums": sums, **room}
    for name, span in spans.items():
        if span is not None:
            sheet.span(place[name], span)
    if bias is None:
        sheet.constant(place["bias"], zeros(right.shape[1], FORMATS[bits]))
    sheet.part("product", extent.matmul.share, at, extent.team)


@lru_cache(maxsize=64)
def zeros(count: int, dtype: torch.dtype) -> Tensor:
    """As many zeros, always the same."""
    return torch.zeros(count, dtype=dtype)


def weight_gradient(
    d: Tensor, x: Tensor, sums: Tensor | None = None, plain: bool = False
) -> Tensor:
    """The transpose of d (N, A) times x (N, B): (A, B), the gradient of a weight.

    `sums` (A,) receives the sums over N of d: the gradient of a bias.
    """
    if plain or not _fits(d, x):
        if sums is not None:
            sums.copy_(d.sum(0))
        return d.t() @ x
    if d.stride(1) != 1:
        d = d.contiguous()
    return multiply(d.t(), x, sums=sums)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`: x (..., K), weight (N, K), bias (N,) -> (..., N)."""
    if not _fits(x, weight, bias) or torch.is_autocast_enabled("cpu"):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (x, weight, bias)
    ):
        differentiable: Tensor = _Linear.apply(x, weight, bias)
        return differentiable
    return _product(x, weight, bias)


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    flat = x.reshape(-1, x.shape[-1])
    return multiply(flat, weight.t(), bias).view(*x.shape[:-1], weight.shape[0])


def _fits(*tensors: Tensor | None) -> bool:
    """Whether these are plain tensors in memory, of one format that kernels know."""
    given = [t for t in tensors if t is not None]
    return (
        not torch.compiler.is_compiling()
        and all(
            type(t) in _PLAIN and t.dtype in BITS and t.device.type == "cpu" and t.numel()
            for t in given
        )
        and len({t.dtype for t in given}) == 1
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.set_materialize_grads(False)
        return _product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, d: Tensor | None) -> tuple[Tensor | None, ...]:
        if d is None:
            return None, None, None
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        flat = d.reshape(-1, d.shape[-1])
        rows = x.reshape(-1, x.shape[-1])
        plain = torch.is_grad_enabled()  # second derivatives go through torch's own operators
        dx = dw = db = None
        if need_x:
            dx = (flat @ weight if plain else multiply(flat, weight)).view(x.shape)
        if need_bias:
            db = flat.sum(0) if plain or not need_weight else d.new_empty(d.shape[-1])
        if need_weight:
            dw = weight_gradient(flat, rows, None if plain else db, plain)
        return dx, dw, db

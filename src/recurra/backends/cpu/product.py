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
from recurra.backends.cpu.target import Code, host

_BITS = {torch.float32: 32, torch.float64: 64}
_PIECE = 768  # elements of the depth at a time, so that a packed panel stays in the second cache
_PLAIN = (Tensor, torch.nn.Parameter)  # what PyTorch traces is neither
_SMALL = 2**17  # multiplications below which a second thread costs more than it saves


@dataclass(frozen=True)
class Compiled:
    """Machine code of products."""

    matmul: Matmul
    code: Code
    share: int


@lru_cache(maxsize=2)
def compiled(bits: int) -> Compiled:
    """The kernel for products of float32 or float64."""
    target = host()
    module = ir.Module("matmul")
    matmul = Matmul(module, target.form(bits), target.accumulators)
    code = Code(str(module), target)
    return Compiled(matmul, code, code.address("share"))


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
    own = compiled(_BITS[left.dtype])
    matmul = own.matmul
    if 1 not in left.stride():
        left = left.contiguous()
    pieces = -(-depth // _PIECE)
    piece = -(-depth // pieces)
    team = torch.get_num_threads() if rows * columns * depth > _SMALL else 1
    direct = left.stride(1) == 1 and sums is None
    own_left, own_right = matmul.memory_of_a_member(columns, piece, direct)
    each = team * left.element_size()
    packed_left, packed_right = memory.work(each * own_left, each * own_right)
    bias = _zeros(columns, left.dtype) if bias is None else bias.contiguous()
    table = (ctypes.c_int64 * len(FIELDS))(  # in their order
        *(rows, columns, depth, piece, int(direct)),
        *(left.data_ptr(), *left.stride()),
        *(right.data_ptr(), right.stride(1), right.stride(0)),
        *(result.data_ptr(), result.stride(0), bias.data_ptr()),
        0 if sums is None else sums.data_ptr(),
        *(packed_left, packed_right, own_right),
    )
    threads.run(own.share, ctypes.addressof(table), team)
    return result


@lru_cache(maxsize=64)
def _zeros(count: int, dtype: torch.dtype) -> Tensor:
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
            type(t) in _PLAIN and t.dtype in _BITS and t.device.type == "cpu" and t.numel()
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

"""Large products outside the time loop, by the faster of torch's two libraries.

torch multiplies float32 matrices with MKL, which runs at less than half speed on AMD's processors;
oneDNN, which torch also carries, does not.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from recurra.backends.cpu.threads import teams_are_whole

_PLAIN = (Tensor, torch.nn.Parameter)  # what PyTorch traces is neither


@lru_cache(maxsize=1)
def prefers_onednn() -> bool:
    """Whether float32 products go to oneDNN: on AMD, where torch has its operator.

    Not where OpenMP may give fewer threads than asked for: oneDNN then computes a part only.
    """
    return (
        llvm.get_host_cpu_name().startswith("znver")
        and teams_are_whole()
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def _by_onednn(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    """a (M, K) times the transpose of b (N, K)."""
    # With gaps between rows, oneDNN falls back to a loop that is a thousand times slower.
    result: Tensor = torch.ops.mkldnn._linear_pointwise(
        _without_gaps(a), _without_gaps(b), bias, "none", [], ""
    )
    return result


def _without_gaps(matrix: Tensor) -> Tensor:
    dense = matrix.is_contiguous() or matrix.t().is_contiguous()
    return matrix if dense else matrix.contiguous()


def _fits(*tensors: Tensor | None) -> bool:
    return prefers_onednn() and all(
        t is None
        or (
            type(t) in _PLAIN
            and t.dtype is torch.float32
            and t.device.type == "cpu"
            and t.numel() > 0
        )
        for t in tensors
    )


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`torch.nn.functional.linear`: x (..., K), weight (N, K), bias (N,) -> (..., N)."""
    if not _fits(x, weight, bias) or torch.is_autocast_enabled("cpu"):
        return F.linear(x, weight, bias)
    result: Tensor = _Linear.apply(x, weight, bias)
    return result


def transposed_product(left: Tensor, right: Tensor) -> Tensor:
    """The transpose of left (N, A) times right (N, B): (A, B), a weight's gradient."""
    if not _fits(left, right):
        return left.t() @ right
    return _by_onednn(right.t(), left.t(), None).t()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        flat = x.reshape(-1, x.shape[-1])
        return _by_onednn(flat, weight, bias).view(*x.shape[:-1], weight.shape[0])

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        need_x, need_weight, need_bias = ctx.needs_input_grad
        flat = d.reshape(-1, d.shape[-1])
        rows = x.reshape(-1, x.shape[-1])
        plain = torch.is_grad_enabled()  # second derivatives go through torch's own operators
        dx = dw = db = None
        if need_x:
            dx = flat @ weight if plain else _by_onednn(flat, weight.t(), None)
            dx = dx.view(x.shape)
        if need_weight:
            dw = flat.t() @ rows if plain else transposed_product(flat, rows)
        if need_bias:
            db = flat.sum(0)
        return dx, dw, db

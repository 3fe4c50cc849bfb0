"""Large products outside the time loop, in kernels of this backend.

torch multiplies float32 matrices with MKL, which runs at less than half speed on AMD's processors,
and its sums depend on the number of threads. These do not.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import llvmlite.ir as ir
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from recurra.backends.cpu import memory, threads
from recurra.backends.cpu.matmul import FIELDS, POINTERS, Matmul
from recurra.backends.cpu.row_steps import write_rows
from recurra.backends.cpu.sheet import Sheet, Span
from recurra.backends.cpu.target import Code, Target, host, made_once
from recurra.backends.observed import PLAIN

BITS = {torch.float32: 32, torch.float64: 64}
FORMATS = {bits: dtype for dtype, bits in BITS.items()}
Form = tuple[tuple[int, ...], tuple[int, ...]]  # shape and strides of a matrix
_ENDS = ("", "_2")  # of the names of the fields of a first and a second right side
_PIECE = 768  # elements of the depth at a time, so that a packed panel stays in the second cache
_SMALL = 2**17  # multiplications below which a second thread costs more than it saves


@dataclass(frozen=True)
class Compiled:
    """The kernel for products of float32 or float64, its code, the addresses of its functions."""

    matmul: Matmul
    code: Code
    share: int
    in_rows: int


def compiled(bits: int) -> Compiled:
    """See `Compiled`."""
    return _compiled(bits, host())


@made_once
def _compiled(bits: int, target: Target) -> Compiled:
    module = ir.Module("matmul")
    matmul = Matmul(module, target.form(bits), target.accumulators)
    write_rows(matmul)
    code = Code(str(module), target)
    return Compiled(matmul, code, code.address("share"), code.address("in_rows"))


@dataclass(frozen=True)
class Extent:
    """The sizes of a product and how it is cut; the fields of its table that are no addresses.

    Attributes:
        share: address of its function.
        numbers: by field.
        team: how many threads share it.
        packed: numbers of packed memory for all members of the team: left, right.
    """

    share: int
    numbers: dict[str, int]
    team: int
    packed: tuple[int, int]

    @classmethod
    def of(cls, bits: int, left: Form, rights: Sequence[Form], packed: bool) -> Extent:
        """The products of left (M, K) and one or two right sides (K, N).

        Args:
            bits: of a number.
            left, rights: shape and strides of each.
            packed: whether the left side must be packed.
        """
        rows, depth = left[0]
        columns = [shape[1] for shape, _ in rights]
        own = compiled(bits)
        pieces = -(-depth // _PIECE)
        piece = -(-depth // pieces)
        team = torch.get_num_threads() if rows * sum(columns) * depth > _SMALL else 1
        direct = left[1][1] == 1 and not packed
        memories = own.matmul.memory_of_a_member(columns, piece, direct)
        numbers = dict.fromkeys(FIELDS, 0) | {
            **{"rows": rows, "depth": depth, "piece": piece, "direct": int(direct)},
            **{"left_row": left[1][0], "left_k": left[1][1], "own_right": memories[1]},
        }
        for end, (shape, strides) in zip(_ENDS, rights, strict=False):
            numbers[f"columns{end}"] = shape[1]
            numbers[f"right_k{end}"], numbers[f"right_column{end}"] = strides
        return cls(own.share, numbers, team, (team * memories[0], team * memories[1]))


def multiply(
    left: Tensor, right: Tensor, bias: Tensor | None = None, sums: Tensor | None = None
) -> Tensor:
    """The product (M, N) of left (M, K) and right (K, N), plus a bias (N,), all of one format.

    Args:
        left: in each row or each column, numbers stand side by side.
        right: likewise.
        bias: added to every row.
        sums: (M,), receives the sums of the rows of `left`; in each of its columns, numbers stand
            side by side then.
    """
    (rows, depth), columns = left.shape, right.shape[1]
    result = memory.empty(left, rows, columns)
    if not depth:
        return result.zero_() if bias is None else result.copy_(bias.expand(rows, columns))
    if 1 not in left.stride():
        left = left.contiguous()
    forms = [(tensor.shape, tensor.stride()) for tensor in (left, right)]
    extent = Extent.of(BITS[left.dtype], forms[0], forms[1:], sums is not None)
    packed_left, packed_right = memory.work(*(left.element_size() * n for n in extent.packed))
    bias = memory.zeros((columns,), left.dtype) if bias is None else bias.contiguous()
    numbers = {
        **extent.numbers,
        **{"left": left.data_ptr(), "right": right.data_ptr(), "bias": bias.data_ptr()},
        **{"result": result.data_ptr(), "result_row": result.stride(0)},
        **{"sums": 0 if sums is None else sums.data_ptr()},
        **{"packed_left": packed_left, "packed_right": packed_right},
    }
    table = (ctypes.c_int64 * len(FIELDS))(*(numbers[name] for name in FIELDS))
    threads.run(extent.share, ctypes.addressof(table), extent.team)
    return result


def add_product(
    sheet: Sheet,
    result: Span,
    left: Span,
    right: Span,
    bias: Span | None = None,
    begun: bool = False,
) -> None:
    """A part of a sheet: the product of `multiply`, of at least one row, column and depth.

    Args:
        sheet: where it goes.
        result: (M, N), numbers of a row side by side.
        left, right, bias: see `multiply`.
        begun: whether the product is added to what the result holds.
    """
    extent = Extent.of(8 * sheet.size, _form(left), [_form(right)], False)
    spans = {"bias": bias}
    _add(sheet, extent, left, [(result, right)], spans, {"begun": int(begun)})


def add_weight_gradients(
    sheet: Sheet, d: Span, sides: Sequence[tuple[Span, Span]], sums: Span | None
) -> None:
    """A part of a sheet: the transpose of d (N, A) times one or two values x (N, B).

    Args:
        sheet: where it goes.
        d: the gradients of products with weights.
        sides: (result (A, B), x).
        sums: (A,), receives the sums over N of d.
    """
    left, rights = d.mirrored(), [_form(x) for _, x in sides]
    extent = Extent.of(8 * sheet.size, _form(left), rights, True)
    _add(sheet, extent, left, sides, {"sums": sums}, {})


def _add(
    sheet: Sheet,
    extent: Extent,
    left: Span,
    sides: Sequence[tuple[Span, Span]],
    spans: dict[str, Span | None],
    numbers: dict[str, int],
) -> None:
    at = sheet.table(len(FIELDS))
    place = {name: at + number for number, name in enumerate(FIELDS)}
    numbers = extent.numbers | numbers
    spans = {"left": left, **spans}
    for name, count in zip(("packed_left", "packed_right"), extent.packed, strict=True):
        spans[name] = sheet.room((count,))
    for end, (result, right) in zip(_ENDS, sides, strict=False):
        numbers[f"result_row{end}"] = result.strides[0]
        spans |= {f"result{end}": result, f"right{end}": right}
        if spans.get(f"bias{end}") is None:
            zeros = memory.zeros((right.shape[1],), FORMATS[8 * sheet.size])
            sheet.constant(place[f"bias{end}"], zeros)
    for name, number in numbers.items():
        if name.removesuffix("_2") not in POINTERS:
            sheet.put(place[name], number)
    for name, span in spans.items():
        if span is not None:
            sheet.span(place[name], span)
    sheet.part("product", extent.share, at, extent.team)


def _form(span: Span) -> Form:
    return span.shape, span.strides


def weight_gradient(
    d: Tensor, x: Tensor, sums: Tensor | None = None, plain: bool = False
) -> Tensor:
    """The transpose of d (N, A) times x (N, B): (A, B), the gradient of a weight.

    Args:
        d: the gradients of a product with the weight.
        x: what the weight met.
        sums: (A,), receives the sums over N of d: the gradient of a bias.
        plain: by PyTorch's own operators, which are differentiable.
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


def vectorised(tensors: Iterable[Tensor]) -> bool:
    """Whether one of these stands for many, of either kind of `vmap`: then it has no memory."""
    functorch = torch._C._functorch
    return any(
        functorch.is_legacy_batchedtensor(t) or functorch.is_batchedtensor(t) for t in tensors
    )


def _fits(*tensors: Tensor | None) -> bool:
    """Whether these are plain tensors in memory, of one format that kernels know."""
    given = [t for t in tensors if t is not None]
    return (
        not torch.compiler.is_compiling()
        and all(
            type(t) in PLAIN
            and t.dtype in BITS
            and t.device.type == "cpu"
            and t.numel()
            and memory.in_memory(t) is t
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
        rows = x.reshape(-1, x.shape[-1])
        # Second derivatives, and many gradients at once, go through torch's own operators.
        plain = torch.is_grad_enabled() or vectorised((d,))
        flat = (d if plain else memory.in_memory(d)).reshape(-1, d.shape[-1])
        dx = dw = db = None
        if need_x:
            dx = (flat @ weight if plain else multiply(flat, weight)).view(x.shape)
        if need_bias:
            db = flat.sum(0) if plain or not need_weight else d.new_empty(d.shape[-1])
        if need_weight:
            dw = weight_gradient(flat, rows, None if plain else db, plain)
        return dx, dw, db

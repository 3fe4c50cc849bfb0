"""Memory between guard pages: a read or write outside of a tensor ends the process.

Every tensor that PyTorch or the CPU backend makes inside `guards` lies so, filled with NaN before
it is written. To be used in a process of its own, which may end.
"""

from __future__ import annotations

import ctypes
import gc
import math
import mmap
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from recurra.backends.cpu import memory
from recurra.backends.cpu.forward_plan import inference_plan, training_plan
from recurra.backends.cpu.gradient_plan import gradient_plan
from support.rooms import instead

PAGE = mmap.PAGESIZE
NAN = 0xFF  # in every byte: NaN in float32 and in float64
LAYOUTS = ("end", "start", "rows")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_regions: set[int] = set()  # where the bytes of guarded tensors begin
_broken: list[str] = []


def reserve(size: int) -> int:
    """Address of fresh pages that nobody may touch yet; they take no memory."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000  # MAP_NORESERVE
    address = _libc.mmap(None, size, 0, flags, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise MemoryError(f"no {size:,} bytes of addresses")
    return int(address)


def open_pages(address: int, size: int) -> None:
    """Allow reading and writing, and fill with NaN."""
    if _libc.mprotect(address, size, mmap.PROT_READ | mmap.PROT_WRITE):
        raise OSError(ctypes.get_errno(), "mprotect")
    ctypes.memset(address, NAN, size)


def tensor_at(address: int, size: int, dtype: torch.dtype, leave: Callable[[], None]) -> Tensor:
    """The bytes from an address as a flat tensor; `leave` is called when nobody uses them."""
    block = (ctypes.c_uint8 * size).from_address(address)
    flat = torch.frombuffer(block, dtype=dtype)
    _regions.add(address)
    weakref.finalize(block, leave).atexit = False
    return flat


def flat(count: int, dtype: torch.dtype, layout: str) -> Tensor:
    """`count` numbers with a guard page at each side: at the end, or from the start."""
    size = count * dtype.itemsize
    pages = -(-size // PAGE) * PAGE
    base = reserve(pages + 2 * PAGE)
    low = base + PAGE
    open_pages(low, pages)
    slack = pages - size
    address, rest = (low, low + size) if layout == "start" else (low + slack, low)

    def leave() -> None:
        if ctypes.string_at(rest, slack) != bytes([NAN]) * slack:
            _broken.append(f"beside {count} numbers in {dtype}")
        _regions.discard(address)
        _libc.munmap(base, pages + 2 * PAGE)

    return tensor_at(address, size, dtype, leave)


def rows(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """A tensor whose every row ends at a guard page of its own, and begins after NaN or another."""
    *outer, width = shape
    size = width * dtype.itemsize
    pages = -(-size // PAGE) * PAGE
    stride = pages + PAGE
    count = math.prod(outer)
    base = reserve(count * stride + PAGE)
    for row in range(count):
        open_pages(base + PAGE + row * stride, pages)
    slack = pages - size
    address = base + PAGE + slack

    def leave() -> None:
        for row in range(count):
            if ctypes.string_at(address - slack + row * stride, slack) != bytes([NAN]) * slack:
                _broken.append(f"before row {row} of {shape}")
        _regions.discard(address)
        _libc.munmap(base, count * stride + PAGE)

    whole = tensor_at(address, (count - 1) * stride + size, dtype, leave)
    strides = [math.prod(outer[k + 1 :]) * stride // dtype.itemsize for k in range(len(outer))]
    return whole.as_strided(shape, (*strides, 1))


def empty(shape: tuple[int, ...], dtype: torch.dtype, layout: str) -> Tensor:
    """A guarded tensor, contiguous except for the layout "rows"."""
    count = math.prod(shape)
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    if layout == "rows" and len(shape) > 1:
        return rows(shape, dtype)
    return flat(count, dtype, layout).view(shape)


def _is_guarded(tensor: Tensor) -> bool:
    return tensor.untyped_storage().data_ptr() in _regions


class _Guards(TorchDispatchMode):
    """What an operator of PyTorch makes is moved between guard pages, its strides kept."""

    def __init__(self, layout: str) -> None:
        super().__init__()
        self.layout = layout

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        found = function(*args, **(kwargs or {}))
        inputs = [a for a in torch.utils._pytree.tree_leaves((args, kwargs)) if _is_dense(a)]
        shared = {a.untyped_storage().data_ptr() for a in inputs}

        def moved(value: Any) -> Any:
            if not _is_dense(value) or value.numel() == 0 or _is_guarded(value):
                return value
            if value.untyped_storage().data_ptr() in shared:
                return value  # a view, or changed in place
            return _copy(value, self.layout)

        return torch.utils._pytree.tree_map(moved, found)


def _copy(value: Tensor, layout: str) -> Tensor:
    """The same numbers with the same strides between guard pages."""
    shape, strides = value.shape, value.stride()
    span = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    room = flat(span, value.dtype, "start" if layout == "start" else "end")
    written = tuple(n if s else 1 for n, s in zip(shape, strides, strict=True))
    for dimension, count in enumerate(written):  # where one number stands for all, it is one
        value = value.narrow(dimension, 0, count)
    room.as_strided(written, strides).copy_(value)
    return room.as_strided(shape, strides)


def _is_dense(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided


@contextmanager
def guards(layout: str) -> Iterator[None]:
    """Guard pages around everything; at the end, an error if anything beside it was written."""

    def room(like: Tensor, *shape: int) -> Tensor:
        return empty(shape, like.dtype, layout)

    held: list[Tensor] = []

    def work(*sizes: int) -> list[int]:
        held[:] = [empty((size,), torch.uint8, layout) for size in sizes]
        return [block.data_ptr() for block in held]

    with pytest.MonkeyPatch.context() as patch, _Guards(layout):
        patch.setattr(memory, "empty", instead(room))
        patch.setattr(memory, "work", work)
        forget_plans()  # they know the strides of memory
        yield
    forget_plans()


def forget_plans() -> None:
    """Calls are planned anew."""
    for plan in (inference_plan, training_plan, gradient_plan):
        plan.cache_clear()


def check() -> None:
    """Raise if something was written beside a tensor that nobody uses any more."""
    gc.collect()
    assert not _broken, _broken

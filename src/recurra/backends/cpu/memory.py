"""Work memory that is kept between calls.

Large memory that is fresh from the system costs a page fault for every 4 kB when it is first
written: as much time as the arithmetic of a step. What tensors give back is kept here.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.backends.observed import holds_values

_LINE = 64  # bytes of a cache line, at whose beginning every block starts
_SMALL = 2**16  # bytes below which fresh memory is as good
_MOST = 2**29  # bytes kept at most
_MOST_WORK = 2**27  # bytes of work memory that a thread keeps at most
_TYPES = {torch.float32: np.float32, torch.float64: np.float64}


class _Work(threading.local):
    """A block for the calls of one thread, which come one after the other."""

    block: NDArray[np.uint8] | None = None
    address = 0
    times_released = 0


_work = _Work()
_times_released = 0
_lock = threading.RLock()
_free: OrderedDict[int, list[NDArray[np.uint8]]] = OrderedDict()  # by size, longest unused first
_kept = 0


class _Lent(np.ndarray[Any, np.dtype[Any]]):
    """The memory of a tensor; its block is given back when nothing uses it any more."""

    block: NDArray[np.uint8] | None = None

    def __del__(self) -> None:
        if self.block is not None:
            _give_back(self.block)


def empty(like: Tensor, *shape: int, front: tuple[int, int] = (0, 0)) -> Tensor:
    """As `like.new_empty(shape)`, from memory that an earlier call gave back, if there is some.

    Args:
        like: a tensor of the same number format.
        shape: of the tensor.
        front: (dimension, count) of what there is memory for in front of the tensor: it is all but
            the first `count` of a larger one.
    """
    kind = _TYPES.get(like.dtype)
    if kind is None:
        return like.new_empty(shape)
    dimension, more = front
    if more:
        shape = (*shape[:dimension], shape[dimension] + more, *shape[dimension + 1 :])
    size = math.prod(shape) * like.element_size()
    if size < _SMALL:  # one way to make a tensor: the first use of another one waits for memory
        whole = np.empty(shape, kind)
    else:
        block = _take(size)
        whole = lent = _Lent(shape, kind, block)
        lent.block = block
    if more:
        whole = whole[more:] if not dimension else whole[:, more:]
    return torch.from_numpy(whole)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Zeros that nobody changes, always the same."""
    return torch.zeros(shape, dtype=dtype, device="cpu")


def in_memory(tensor: Tensor) -> Tensor:
    """The tensor, copied if its memory does not hold its values."""
    return tensor if holds_values(tensor) else tensor.clone()


def work(*sizes: int) -> list[int]:
    """Addresses of memory for so many bytes each, which is this thread's until its next call."""
    places, end = [], 0
    for size in sizes:
        places.append(end)
        end += -(-size // _LINE) * _LINE
    mine = _work
    if (
        mine.block is None
        or mine.block.size < end + _LINE
        or mine.times_released != _times_released
    ):
        mine.block = None  # before there is another one
        mine.block = np.empty(_rounded(end) + _LINE, np.uint8)
        mine.address = mine.block.ctypes.data + -mine.block.ctypes.data % _LINE
        mine.times_released = _times_released
    return [mine.address + place for place in places]


def worked() -> None:
    """The call is over: what it needed is kept for the next one unless it is very much."""
    if _work.block is not None and _work.block.size > _MOST_WORK:
        _work.block = None


def release_memory() -> None:
    """Give the memory that the CPU backend keeps between calls, and that is not in use, back.

    Tensors keep theirs. Another thread gives its own back when it next needs some.
    """
    global _kept, _times_released
    zeros.cache_clear()
    with _lock:
        _free.clear()
        _kept = 0
        _times_released += 1
    _work.block = None


def _take(count: int) -> NDArray[np.uint8]:
    global _kept
    size = _rounded(count)
    with _lock:
        blocks = _free.get(size)
        if blocks:
            block = blocks.pop()
            _kept -= size
            if not blocks:
                del _free[size]
            return block
    block = np.empty(size + _LINE, np.uint8)
    start = -block.ctypes.data % _LINE
    return block[start : start + size]


def _rounded(count: int) -> int:
    """The size of a block: few sizes, so that batches of changing lengths meet them again."""
    unit = max(_SMALL, 1 << max(count.bit_length() - 4, 0))  # at most an eighth too much
    return -(-count // unit) * unit


def _give_back(block: NDArray[np.uint8]) -> None:
    global _kept
    if block.size > _MOST:
        return
    with _lock:
        _free.setdefault(block.size, []).append(block)
        _free.move_to_end(block.size)
        _kept += block.size
        while _kept > _MOST:
            size, blocks = next(iter(_free.items()))
            blocks.pop()
            _kept -= size
            if not blocks:
                del _free[size]

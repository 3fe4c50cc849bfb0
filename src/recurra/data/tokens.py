"""Sequences of tokens, in memory or in a file, sliced alike."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from recurra.errors import DataError


class Tokens(Protocol):
    """A text as numbers of symbols, of which any part can be read."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> NDArray[np.int64]:
        """The tokens [start:stop] as (stop - start,) int64; no step."""


class ArrayTokens:
    """Tokens in memory.

    Args:
        array: (N,) integers.
    """

    def __init__(self, array: NDArray[np.integer]) -> None:
        self._array = array

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, part: slice) -> NDArray[np.int64]:
        start, stop = _bounds(part, len(self))
        return self._array[start:stop].astype(np.int64)


class FileTokens:
    """Tokens in a file of plain numbers, read anew for each slice.

    The file is not mapped: the pages of a mapping would count as memory of the process.

    Args:
        descriptor: of the open file; it may be closed afterwards, and the file moved.
        dtype: of the numbers.
    """

    def __init__(self, descriptor: int, dtype: np.dtype[np.unsignedinteger]) -> None:
        self._descriptor = os.dup(descriptor)
        weakref.finalize(self, os.close, self._descriptor)
        self._dtype = dtype
        self._length = os.fstat(descriptor).st_size // dtype.itemsize

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, part: slice) -> NDArray[np.int64]:
        start, stop = _bounds(part, len(self))
        size = self._dtype.itemsize
        content = _read_at(self._descriptor, (stop - start) * size, start * size)
        if len(content) < (stop - start) * size:
            raise DataError(
                f"the prepared text ends before token {stop}: its file was cut while it was used. "
                "Put back a copy of it, or train anew."
            )
        return np.frombuffer(content, self._dtype).astype(np.int64)


class Part:
    """The tokens [start:stop] of other tokens, as tokens."""

    def __init__(self, tokens: Tokens, start: int, stop: int) -> None:
        self._tokens = tokens
        self._start, self._stop = _bounds(slice(start, stop), len(tokens))

    def __len__(self) -> int:
        return self._stop - self._start

    def __getitem__(self, part: slice) -> NDArray[np.int64]:
        start, stop = _bounds(part, len(self))
        return self._tokens[self._start + start : self._start + stop]


def _bounds(part: slice, length: int) -> tuple[int, int]:
    start, stop, step = part.indices(length)
    if step != 1:
        raise ValueError("tokens are read without a step")
    return start, max(start, stop)


def _read_at(descriptor: int, count: int, offset: int) -> bytes:
    if os.name == "nt":  # it has no pread
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, count)
    return os.pread(descriptor, count, offset)

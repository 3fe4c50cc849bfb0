"""Small matrices of each row of a batch, multiplied in kernels of this backend."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.backends.cpu import memory, threads
from recurra.backends.cpu.matmul import FIELDS
from recurra.backends.cpu.product import BITS, Extent, Form, compiled
from recurra.backends.cpu.row_steps import KIND, SIZE, TIMES
from recurra.backends.observed import PLAIN, observed

_LINE = 64  # bytes of a cache line
_WORTH = 2**16  # multiplications from which threads share them
Numbers = NDArray[np.int64]


class RowSteps:
    """Steps that are collected, then run for each row of a batch by itself.

    All tensors are (B, ·, ·), of one format, with numbers side by side in rows or in columns.

    Args:
        like: a tensor of the batch.
    """

    def __init__(self, like: Tensor) -> None:
        self._like, self._rows = like, len(like)
        self._tables: list[Numbers] = []
        self._kept: list[Tensor] = []
        self._packed = (0, 0)
        self._work = 0

    def product(self, left: Tensor, right: Tensor, result: Tensor, begun: bool = False) -> Tensor:
        """One more step: the products (B, M, N) of left (B, M, K) and right (B, K, N).

        Args:
            left, right: see above.
            result: where they go, numbers of a row side by side.
            begun: whether they are added to what is there.
        """
        forms = [(tensor.shape[1:], tensor.stride()[1:]) for tensor in (left, right)]
        numbers, packed = _table(*forms, result.stride(1), int(begun), BITS[left.dtype])
        table = self._new(numbers, {"left": left, "right": right, "result": result}, FIELDS)
        bias = memory.zeros((right.shape[2],), left.dtype)
        self._kept.append(bias)
        table[:, len(KIND) + FIELDS.index("bias")] = bias.data_ptr()
        self._packed = (max(self._packed[0], packed[0]), max(self._packed[1], packed[1]))
        self._work += left.numel() * right.shape[2]
        return result

    def times(self, left: Tensor, right: Tensor, result: Tensor) -> Tensor:
        """One more step: the product (B, M, N), number by number, of left and right.

        Args:
            left: numbers of a row side by side, as in the result.
            right: likewise, or (B, M, 1).
            result: where it goes; it may be the left or the right side.
        """
        known = {
            **{"height": left.shape[1], "width": left.shape[2], "to_row": result.stride(1)},
            **{"left_row": left.stride(1), "right_row": right.stride(1)},
            "right_column": int(right.shape[2] > 1 or left.shape[2] == 1),
        }
        numbers = np.zeros(SIZE, np.int64)
        numbers[0] = 1
        for name, number in known.items():
            numbers[len(KIND) + TIMES.index(name)] = number
        self._new(numbers, {"left": left, "right": right, "to": result}, TIMES)
        return result

    def _new(
        self, numbers: Numbers, tensors: dict[str, Tensor], fields: tuple[str, ...]
    ) -> Numbers:
        self._kept += tensors.values()
        table = np.tile(numbers, (self._rows, 1))
        for name, tensor in tensors.items():
            step = tensor.stride(0) * tensor.element_size()
            place = len(KIND) + fields.index(name)
            table[:, place] = tensor.data_ptr() + step * np.arange(self._rows)
        self._tables.append(table)
        return table

    def run(self) -> None:
        """Run them."""
        tables = np.ascontiguousarray(np.stack(self._tables, 1))
        team = min(torch.get_num_threads(), self._rows) if self._work > _WORTH else 1
        room = memory.work(*(team * size for size in self._packed))
        sizes = self._rows, len(self._tables)
        table = np.array(
            [tables.ctypes.data, *sizes, room[0], self._packed[0], room[1], self._packed[1]],
            np.int64,
        )
        code = compiled(BITS[self._like.dtype]).in_rows
        threads.run(code, table.ctypes.data, team)
        memory.worked()


@lru_cache(maxsize=64)
def _table(
    left: Form, right: Form, result_row: int, begun: int, bits: int
) -> tuple[Numbers, tuple[int, int]]:
    """The step of a product without addresses, and bytes of packed memory of a member."""
    extent = Extent.of(bits, left, [right], packed=False)
    numbers = extent.numbers | {"result_row": result_row, "begun": begun}
    sizes = (-(-count // extent.team) * bits // 8 for count in extent.packed)
    first, second = (-(-size // _LINE) * _LINE for size in sizes)
    table = np.zeros(SIZE, np.int64)
    table[len(KIND) : len(KIND) + len(FIELDS)] = [numbers[name] for name in FIELDS]
    return table, (first, second)


def fit(*tensors: Tensor | None) -> bool:
    """Whether kernels can multiply these: plain, in memory, of one format, none of them empty."""
    given = [t for t in tensors if t is not None]
    return not observed() and all(
        type(t) in PLAIN
        and t.dtype in BITS
        and t.dtype is given[0].dtype
        and t.numel()
        and memory.in_memory(t) is t
        for t in given
    )

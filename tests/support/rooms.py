"""What stands in for `memory.empty` in tests: other memory, whatever a call asks for in front."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from recurra.backends.cpu import memory

_empty = memory.empty


def instead(made: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`memory.empty` with memory from `made(like, *shape)`."""

    def empty(like: Tensor, *shape: int, front: tuple[int, int] = (0, 0)) -> Tensor:
        dimension, count = front
        whole = list(shape)
        whole[dimension : dimension + 1] = [n + count for n in whole[dimension : dimension + 1]]
        tensor = made(like, *whole)
        return tensor.narrow(dimension, count, shape[dimension]) if count else tensor

    return empty


nan_filled = instead(lambda like, *shape: _empty(like, *shape).fill_(math.nan))

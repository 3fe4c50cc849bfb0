"""The highest of very many values, in one pass and little memory, and far from each other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def highest(
    blocks: Iterable[NDArray[np.floating]], count: int, apart: int = 1
) -> list[tuple[int, float]]:
    """The highest values with their positions, the highest first.

    Each is the highest of those that are at least `apart` away from all before it; of equal ones
    the first. This is exact: one that is taken rules out 2 * apart - 2 others, so the answer is
    among the `count * (2 * apart - 1)` highest, and no more are kept.

    Args:
        blocks: the values, in parts (N,) that follow each other; NaN is never taken.
        count: how many are wanted.
        apart: the least distance of two of them.

    Example:
        >>> highest([np.array([1.0, 5.0, 4.0]), np.array([3.0])], 2, apart=2)
        [(1, 5.0), (3, 3.0)]
    """
    most = count * (2 * apart - 1)
    values, places, start = np.empty(0, np.float32), np.empty(0, np.int64), 0
    for block in blocks:
        full = len(values) == most and most > 0
        new = np.flatnonzero(block > values[-1] if full else ~np.isnan(block))
        values = np.concatenate([values, block[new].astype(values.dtype)])
        places = np.concatenate([places, new + start])
        # Stable, and what is kept stands first: of equal values the earlier one.
        order = np.argsort(-values, kind="stable")[:most]
        values, places = values[order], places[order]
        start += len(block)
    return _apart(zip(places.tolist(), values.tolist(), strict=True), count, apart)


def _apart(ranked: Iterable[tuple[int, float]], count: int, apart: int) -> list[tuple[int, float]]:
    """The first of a ranking that are far from all before them."""
    taken: list[tuple[int, float]] = []
    for place, value in ranked:
        if len(taken) == count:
            break
        if all(abs(place - other) >= apart for other, _ in taken):
            taken.append((place, value))
    return taken

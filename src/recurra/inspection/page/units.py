"""Which units a page keeps, how finely, and which of them exactly: the budget of its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recurra.inspection.page.packing import Bits

Array = NDArray[np.floating]
SMALL = 2_000_000  # bytes of a page up to which values are kept finer than 8 bits
EXACT = 24  # units kept exactly, at most, of one place


@dataclass(frozen=True)
class Budget:
    """How much of every place a page keeps.

    Attributes:
        bits: of a value in the heat maps.
        share: of the units that are kept.
        exact: units of a place whose float32 values are kept beside them; 0 with 32 bits.
    """

    bits: Bits
    share: float
    exact: int


def budget(counts: Sequence[int], exact_counts: Sequence[int], limit: float) -> Budget:
    """The finest precision that keeps a page small; fewer units where 8 bits are too many.

    Args:
        counts: for each place, numbers of its heat maps (T times units times values).
        exact_counts: for each place, numbers that one exact unit costs (T times values).
        limit: bytes of the page.
    """
    total = max(1, sum(counts))
    written = 4 / 3  # base64
    fits = [bits for bits in (32, 16) if total * bits / 8 * written <= min(SMALL, limit)]
    if fits:
        bits: Bits = 32 if fits[0] == 32 else 16
        free = limit - total * bits / 8 * written
    else:
        bits, free = 8, limit
    if bits == 32:
        return Budget(32, 1.0, 0)
    tier = min(0.12 * free, 360_000 if total * written < SMALL * 1.3 else 900_000)
    exact = int(tier / max(1, 4 * written * sum(exact_counts)))
    share = min(1.0, max(0.0, 0.95 * limit - tier) / (total * bits / 8 * written))
    return Budget(bits, share, max(1, min(EXACT, exact)))


def by_variance(values: Mapping[str, Array], leading: str) -> NDArray[np.intp]:
    """Units of a place, those first whose `leading` value varies most over the steps."""
    array = np.nan_to_num(values[leading].astype(np.float64), posinf=0.0, neginf=0.0)
    return np.argsort(-array.var(axis=0), kind="stable")

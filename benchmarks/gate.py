"""The gate before every time: what does not compute the same is not timed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Results = Mapping[str, Array]


class RefusedError(Exception):
    """A function computes something else than the reference."""


def deviation(found: Array, expected: Array) -> float:
    """The largest difference, as a share of the largest expected value."""
    scale = float(np.abs(expected).max(initial=0.0)) or 1.0
    return float(np.abs(found.astype(np.float64) - expected).max(initial=0.0)) / scale


def check(found: Results, expected: Results, tolerance: float) -> float:
    """The largest deviation of all quantities.

    Raises:
        RefusedError: a quantity is missing, has another shape, deviates by more than the
            tolerance, or is not a number.
    """
    largest = 0.0
    for name, value in expected.items():
        if name not in found:
            raise RefusedError(f"gives no {name}")
        if found[name].shape != value.shape:
            raise RefusedError(f"{name} has the shape {found[name].shape}, not {value.shape}")
        share = deviation(found[name], value)
        if not share <= tolerance:
            raise RefusedError(
                f"{name} deviates by {share:.2g} of its largest value (> {tolerance:g})"
            )
        largest = max(largest, share)
    return largest

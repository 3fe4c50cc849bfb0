"""The gate before every time: what does not compute the same is not timed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Results = Mapping[str, Array]


class RefusedError(Exception):
    """A function computes something else than the reference."""


# A quantity is measured by no less than this share of the largest one: the gradient of a bias that
# scales both sides of a division is 0 but for rounding.
_NOTHING = 1e-3


def deviation(found: Array, expected: Array, least: float = 0.0) -> float:
    """The largest difference, as a share of the largest expected value, or of `least`."""
    scale = max(_largest(expected), least) or 1.0
    return _largest(found.astype(np.float64) - expected) / scale


def _largest(values: Array) -> float:
    return float(np.abs(values).max(initial=0.0))


def check(found: Results, expected: Results, tolerance: float) -> float:
    """The largest deviation of all quantities.

    Raises:
        RefusedError: a quantity is missing, has another shape, deviates by more than the
            tolerance, or is not a number.
    """
    largest, least = 0.0, _NOTHING * max(map(_largest, expected.values()), default=0.0)
    for name, value in expected.items():
        if name not in found:
            raise RefusedError(f"gives no {name}")
        if found[name].shape != value.shape:
            raise RefusedError(f"{name} has the shape {found[name].shape}, not {value.shape}")
        share = deviation(found[name], value, least)
        if not share <= tolerance:
            raise RefusedError(
                f"{name} deviates by {share:.2g} of its largest value (> {tolerance:g})"
            )
        largest = max(largest, share)
    return largest

"""The ranking in one pass is the greedy choice among all values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.inspection.ranking import highest


def by_hand(values: list[float], count: int, apart: int) -> list[tuple[int, float]]:
    """Take the highest, strike out what is near, again."""
    left = {place: value for place, value in enumerate(values) if not math.isnan(value)}
    taken = []
    while left and len(taken) < count:
        best = max(left, key=lambda place: (left[place], -place))
        taken.append((best, left[best]))
        left = {place: value for place, value in left.items() if abs(place - best) >= apart}
    return taken


NUMBERS = st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0, 3.0, math.nan, math.inf])


@given(st.lists(NUMBERS, max_size=60), st.integers(1, 6), st.integers(1, 9), st.integers(1, 20))
def test_it_is_the_greedy_choice(values: list[float], count: int, apart: int, block: int) -> None:
    array = np.array(values, np.float32)
    blocks = [array[start : start + block] for start in range(0, len(array), block)]
    assert highest(blocks, count, apart) == by_hand(values, count, apart)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_long_rise_keeps_the_last(dtype: type) -> None:
    blocks = [np.arange(start, start + 100, dtype=dtype) for start in range(0, 1000, 100)]
    assert highest(blocks, 3, 10) == [(999, 999.0), (989, 989.0), (979, 979.0)]


def test_wide_peaks_do_not_hide_lower_ones() -> None:
    peaks = np.concatenate([height - abs(np.arange(9.0) - 4) for height in (90, 80, 70, 60)])
    found = highest([peaks[:11], peaks[11:30], peaks[30:]], 4, apart=5)
    assert found == [(4, 90.0), (13, 80.0), (22, 70.0), (31, 60.0)]

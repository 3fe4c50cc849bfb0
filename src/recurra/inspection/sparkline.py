"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.-:=+*#"
_GAP = " "


def sparkline(
    values: Sequence[float], width: int, low: float, high: float, plain: bool = False
) -> str:
    """Values as blocks of eight heights; if they are more than fit, means of neighbours.

    Args:
        values: (T,); NaN leaves a gap.
        width: the most characters.
        low: of the lowest block.
        high: of the highest block.
        plain: in ASCII.

    Example:
        >>> sparkline([0, 0.5, 1], 10, 0, 1)
        '▁▅█'
    """
    signs = _PLAIN if plain else _BLOCKS
    span = high - low if high > low else 1.0
    found = []
    for value in _fitted(values, width):
        if math.isnan(value):
            found.append(_GAP)
        else:
            share = min(1.0, max(0.0, (value - low) / span))
            found.append(signs[min(len(signs) - 1, int(share * len(signs)))])
    return "".join(found)


def _fitted(values: Sequence[float], width: int) -> list[float]:
    """At most `width` values, each the mean of its share of them."""
    count = min(width, len(values))
    edges = [number * len(values) // count for number in range(count + 1)] if count else [0]
    return [_mean(values[low:high]) for low, high in pairwise(edges)]


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan

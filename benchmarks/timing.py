"""Times of several functions, measured in alternation in one run: median and spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def alternate(
    functions: Mapping[str, Callable[[], Any]], rounds: int = 15
) -> dict[str, list[float]]:
    """Seconds of each function in each round, after one round that does not count."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for count in range(rounds + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if count:
                times[name].append(time.perf_counter() - start)
    return times


def row(name: str, seconds: list[float], unit: str = "") -> str:
    """A line: median in milliseconds, and the quarters around it."""
    low, middle, high = statistics.quantiles(seconds, n=4)
    return f"{name:<28} {1e3 * middle:9.2f} ms   ({1e3 * low:.2f} .. {1e3 * high:.2f}) {unit}"

"""Times of several functions, measured in alternation in one run: median and quartiles."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

Function = Callable[[], object]

SAMPLE = 0.01  # seconds that one sample lasts at least: calls follow one another as in use
LONGEST_WAIT = 0.25  # seconds before a sample, for the idle threads of another library to sleep
QUIET = 10  # looks of 2 ms without work, one after another
SHORT = 0.05  # seconds: a call shorter than this runs once uncounted, to wake its own threads


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes:
        least: rounds in any case.
        seconds: after which no further round begins.
        most: rounds in any case enough.
    """

    least: int = 5
    seconds: float = 4.0
    most: int = 60


@dataclass(frozen=True)
class Spread:
    """Seconds of one call: median, lower and upper quartile, least, and what they are taken of."""

    median: float
    low: float
    high: float
    least: float
    rounds: int
    calls: int

    def __str__(self) -> str:
        unit, (low, middle, high) = _scaled(self.low, self.median, self.high)
        return f"{middle:>7} {unit}  ({low} .. {high})"


def in_units(seconds: float) -> str:
    """A time with its unit, as in a spread."""
    unit, (number,) = _scaled(seconds)
    return f"{number:>7} {unit}"


def _scaled(*seconds: float) -> tuple[str, list[str]]:
    """(unit, times in it): that of the time in the middle."""
    unit, factor = ("ms", 1e3) if seconds[len(seconds) // 2] >= 1e-3 else ("µs", 1e6)
    scaled = [factor * each for each in seconds]
    return unit, [f"{s:.0f}" if s >= 100 else f"{s:#.3g}" for s in scaled]


def spread(seconds: list[float], calls: int = 1) -> Spread:
    """The spread of at least two samples; quartiles lie between the samples."""
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return Spread(middle, low, high, min(seconds), len(seconds), calls)


def measure(functions: Mapping[str, Function], effort: Effort | None = None) -> dict[str, Spread]:
    """The spread of each function. One round measures each of them once, one after another.

    A sample is a pause, one call that does not count if it is short, and then a block of calls.
    In the pause the threads of the others fall asleep: OpenMP's spin for 8 ms after a call, ONNX
    Runtime's for 22, and would take a core from whoever is measured next.
    """
    effort = effort or Effort()
    with _no_collection():
        calls = {name: _calls(function) for name, function in functions.items()}
        samples: dict[str, list[float]] = {name: [] for name in functions}
        names = tuple(functions)
        start = time.perf_counter()
        for number in range(max(effort.least, effort.most)):
            if number >= effort.least and time.perf_counter() - start > effort.seconds:
                break
            first = number % max(len(functions), 1)  # nobody always follows the same one
            for name in (*names[first:], *names[:first]):
                samples[name].append(_sample(functions[name], *calls[name]))
    return {name: spread(seconds, calls[name][0]) for name, seconds in samples.items()}


def _calls(function: Function) -> tuple[int, bool]:
    """How many calls a sample has, and whether one goes before it; after one that compiles."""
    function()
    start = time.perf_counter()
    function()
    seconds = max(time.perf_counter() - start, 1e-7)
    return max(1, math.ceil(SAMPLE / seconds)), seconds < SHORT


def _sample(function: Function, calls: int, warm: bool) -> float:
    settle()
    if warm:
        function()
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def settle() -> None:
    """Wait until no thread of this process has computed for a while: some rest between turns."""
    start, quiet = time.perf_counter(), 0
    while quiet < QUIET and time.perf_counter() - start < LONGEST_WAIT:
        before = time.process_time()
        time.sleep(0.002)
        quiet = quiet + 1 if time.process_time() - before < 0.0005 else 0


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without Python's garbage collection, as in `timeit`."""
    before = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()

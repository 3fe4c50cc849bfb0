"""The recurrence alone, as a share of the float32 peak that a large product reaches."""

from __future__ import annotations

import ctypes
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from entries import admit
from flops import products as flops_of
from problem import Problem
from products import large_product
from recurra.backends.cpu import threads
from recurra.backends.cpu.sheet import Sheet
from shapes import Shape
from timing import Effort, Function, settle

SHAPES = (
    Shape("text", 50, 30, 300, 300),
    Shape("ptb", 35, 20, 650, 650),
    Shape("wide", 50, 64, 512, 1024),
)
CALLS = 5  # that together last about as long as the large product


@dataclass
class Recurrence:
    """The kernels of one cell at one shape.

    Attributes:
        cell: its name.
        shape: its sizes.
        direction: "forward", "forward, training" or "backward".
        gflops: billions of operations of the recurrent products in a second of the kernel, gates
            included in the time.
        peak: the same of the large product, measured in alternation.
        share: of the peak.
        left_out: why it was not measured.
    """

    cell: str
    shape: Shape
    direction: str
    gflops: float | None = None
    peak: float | None = None
    share: float | None = None
    left_out: str | None = None


def run(
    cells: Iterable[str], effort: Effort, shapes: Iterable[Shape] = SHAPES
) -> Iterator[Recurrence]:
    """Time the kernels inside inference and training, a large product beside them."""
    shapes = tuple(shapes)
    for cell in cells:
        for shape in shapes:
            yield from _kernels(Problem(cell, shape, "inference"), ("forward",), effort)
            names = ("forward, training", "backward")
            yield from _kernels(Problem(cell, shape, "training"), names, effort)


def _kernels(problem: Problem, names: tuple[str, ...], effort: Effort) -> Iterator[Recurrence]:
    row, function = admit("recurra", problem)
    wrong = row.refused or row.left_out
    rounds: list[list[float]] = []
    peaks: list[float] = []
    start = time.perf_counter()
    while function and _goes_on(len(peaks), start, effort):
        peaks.append(large_product())
        found = _block(function)
        rounds += found
        if len(found[0]) != len(names):
            wrong = f"{len(found[0])} kernels ran in a call, not {len(names)}"
            break
    layer, shape = problem.layer, problem.shape
    step = flops_of(layer.graph, {"I": shape.I, **layer.sizes}, recurrent=True)
    for number, name in enumerate(names):
        if wrong:
            yield Recurrence(problem.cell, shape, name, left_out=wrong)
            continue
        seconds_of_one = statistics.median(seconds[number] for seconds in rounds)
        gflops = step * shape.T * shape.B / seconds_of_one / 1e9
        peak = statistics.median(peaks)
        yield Recurrence(problem.cell, shape, name, gflops, peak, gflops / peak)


def _block(function: Function) -> list[list[float]]:
    """The seconds of each recurrence in some calls, one after another as in real use."""
    settle()
    function()
    found = []
    for _ in range(CALLS):
        with _clock() as seconds:
            function()
        found.append(seconds)
    return found


def _goes_on(rounds: int, start: float, effort: Effort) -> bool:
    if rounds < effort.least:
        return True
    return rounds < effort.most and time.perf_counter() - start < effort.seconds


@contextmanager
def _clock() -> Iterator[list[float]]:
    """The seconds of each recurrence that runs meanwhile, in order; packing is not part of it."""
    seconds: list[float] = []

    def one_by_one(sheet: Sheet, bases: Sequence[int]) -> None:
        filled = sheet.filled(bases)
        for does, share, table, most in sheet.parts:
            start = time.perf_counter()
            threads.run(share, ctypes.addressof(filled) + 8 * table, most)
            if does == "loop":
                seconds.append(time.perf_counter() - start)

    with patch.object(Sheet, "run", one_by_one):
        yield seconds

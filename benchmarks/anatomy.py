"""Where the time of a call goes: its kernels in order, what is left for Python, and the limit.

python benchmarks/anatomy.py [--cell lstm] [--shape text] [--use training] [--threads 2]
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

import torch

import equations
from entries import admit
from flops import products as flops_of
from problem import Problem
from products import large_product
from recurra.backends.cpu import threads
from recurra.backends.cpu.matmul import FIELDS
from recurra.backends.cpu.sheet import Sheet
from run import count
from shapes import SHAPES
from timing import Effort, measure, settle

USES = ("training", "inference")


@dataclass
class Part:
    """One part of a call.

    Attributes:
        call: number of the run of parts that it belongs to: forward is 0, backward follows.
        does: see `Sheet.part`.
        flops: of its products; None for the recurrence, which the graph counts.
        seconds: of each round.
    """

    call: int
    does: str
    flops: int | None
    seconds: list[float]


@contextmanager
def clock() -> Iterator[list[Part]]:
    """The parts that run meanwhile, each by itself."""
    parts: list[Part] = []
    calls = iter(range(sys.maxsize))

    def one_by_one(sheet: Sheet, bases: Sequence[int]) -> None:
        filled, call = sheet.filled(bases), next(calls)
        for does, share, table, most in sheet.parts:
            start = time.perf_counter()
            threads.run(share, ctypes.addressof(filled) + 8 * table, most)
            seconds = [time.perf_counter() - start]
            parts.append(Part(call, does, _flops(sheet, does, table), seconds))

    with patch.object(Sheet, "run", one_by_one):
        yield parts


def _flops(sheet: Sheet, does: str, table: int) -> int | None:
    if does == "loop":
        return None
    if does != "product":
        return 0
    read = dict(zip(FIELDS, sheet.numbers[table : table + len(FIELDS)], strict=True))
    return 2 * read["rows"] * read["depth"] * (read["columns"] + read["columns_2"])


def dissect(problem: Problem, effort: Effort) -> None:
    """Print the parts of a call, medians of some rounds."""
    row, function = admit("recurra", problem)
    if function is None:
        print(f"{problem.cell}: {row.refused or row.left_out}")
        return
    shape = problem.shape
    step = flops_of(problem.layer.graph, {"I": shape.I, **problem.layer.sizes}, recurrent=True)
    parts: list[Part] = []
    peaks: list[float] = []
    for _ in range(max(effort.least, 9)):
        peaks.append(large_product())
        settle()
        function()
        with clock() as found:
            function()
        parts = parts or found
        if parts is not found:
            for known, one in zip(parts, found, strict=True):
                known.seconds += one.seconds
    whole = measure({"recurra": function}, effort)["recurra"]
    _print(problem, parts, statistics.median(peaks), step * shape.T * shape.B)
    kernels = sum(statistics.median(part.seconds) for part in parts)
    print(f"  the whole call        {whole}")
    print(f"  beside its kernels  {1e3 * (whole.median - kernels):8.2f} ms  Python and PyTorch")


def _print(problem: Problem, parts: list[Part], peak: float, loop: int) -> None:
    print(f"\n{problem.cell}, {problem.use}; {problem.shape}; peak {peak:.0f} GFLOP/s")
    total = 0
    for part in parts:
        flops = loop if part.flops is None else part.flops
        total += flops
        seconds = statistics.median(part.seconds)
        said = (
            f"  {'backward' if part.call else 'forward':<9} {part.does:<8} {1e3 * seconds:8.2f} ms"
        )
        if flops:
            rate = flops / seconds / 1e9
            said += f"  {flops / 1e6:8.0f} MFLOP {rate:6.0f} GFLOP/s  {rate / peak:.2f}"
        print(said)
    print(f"  all products at the peak {1e3 * total / peak / 1e9:.2f} ms")


def main() -> None:
    """Print what the options name."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", default="lstm", choices=equations.names(), metavar="CELL")
    parser.add_argument("--shape", default="text", choices=tuple(SHAPES))
    parser.add_argument("--use", default="training", choices=USES)
    parser.add_argument("--threads", type=count, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dissect(Problem(options.cell, SHAPES[options.shape], options.use), Effort(seconds=2.0))


if __name__ == "__main__":
    main()

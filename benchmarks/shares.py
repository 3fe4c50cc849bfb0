"""Every cell of the registry: the speed of its products as a share of our own LSTM's."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import peers
from entries import admit
from flops import products
from problem import Problem
from recurra.graph.facts import stages
from shapes import Shape
from timing import Effort, Spread, measure

TABLE = Shape("text", 50, 30, 300, 300)


@dataclass
class Share:
    """A cell in one direction of use.

    Attributes:
        cell: its name.
        use: "training" or "inference".
        stages: groups of products and reductions in a step that wait for one another.
        time: of the cell.
        gflops: billions of floating-point operations of products in a second.
        share: of the LSTM's, measured in alternation with this cell.
        refused: what the gate said against it, or how it failed.
        left_out: why it was not tried.
    """

    cell: str
    use: str
    stages: int
    time: Spread | None = None
    gflops: float | None = None
    share: float | None = None
    refused: str | None = None
    left_out: str | None = None


def run(
    cells: Iterable[str], effort: Effort, deadline: float, shape: Shape = TABLE
) -> Iterator[Share]:
    """Measure each cell beside the LSTM, in both uses, until the deadline (perf_counter)."""
    ours = peers.load("recurra")
    assert not isinstance(ours, str)
    bases = {use: Problem("lstm", shape, use) for use in ("training", "inference")}
    lstms = {use: ours.prepare(base).run for use, base in bases.items()}
    for cell in cells:
        for use, base in bases.items():
            problem = Problem(cell, shape, use)
            share = Share(cell, use, len(stages(problem.layer.graph)))
            if time.perf_counter() > deadline:
                share.left_out = "the time of this run (--minutes) was over"
                yield share
                continue
            row, function = admit("recurra", problem)
            share.refused, share.left_out = row.refused, row.left_out
            if function is not None:
                times = measure({"lstm": lstms[use], "cell": function}, effort)
                share.time = times["cell"]
                share.gflops = _gflops(problem, times["cell"])
                share.share = share.gflops / _gflops(base, times["lstm"])
            yield share


def _gflops(problem: Problem, spread: Spread) -> float:
    layer, shape = problem.layer, problem.shape
    forward = products(layer.graph, {"I": shape.I, **layer.sizes}) * shape.T * shape.B
    return forward * (3 if problem.training else 1) / spread.median / 1e9

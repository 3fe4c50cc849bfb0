"""What an entry cannot be faster than, by this machine: its products at the peak.

Beside its products a layer has its gates, and Python: the distance to the limit is what is left to
gain. A peer that takes 1.2 times the limit cannot be beaten by more than 1.2 times. A single step
reads all weights for one vector; what the fastest library takes for that is no bound, but stands
for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial

import torch

from flops import products as flops_of
from problem import Problem
from products import Product, large_product, products
from timing import Effort, measure

BACKWARD = 2  # products of the backward direction for each of the forward one


@dataclass
class Limit:
    """What an entry is measured against.

    Attributes:
        seconds: of one call.
        what: what takes so long.
        ratio: of `seconds` and our median: how much of our time it is.
    """

    seconds: float
    what: str
    ratio: float


def limit(problem: Problem, ours: float) -> Limit:
    """The limit of an entry for which we take so many seconds."""
    seconds, what = (_of_step if problem.use == "step" else _of_products)(problem)
    return Limit(seconds, what, seconds / ours)


@cache
def peak() -> float:
    """GFLOP/s of the best of three large products: what disturbs one makes it slower."""
    return max(large_product() for _ in range(3))


def _of_products(problem: Problem) -> tuple[float, str]:
    layer = problem.layer
    step = flops_of(layer.graph, {"I": problem.shape.I, **layer.sizes})
    flops = step * int(problem.lengths.sum()) * (1 + BACKWARD * problem.training)
    return flops / peak() / 1e9, f"all products at the peak, {peak():.0f} GFLOP/s"


def _of_step(problem: Problem) -> tuple[float, str]:
    """One vector meets all weights: the fastest library says how fast they can be read."""
    numbers = sum(weight.numel() for weight in problem.weights.values())
    depth = problem.shape.I + problem.shape.H
    weights, x = torch.randn(numbers // depth, depth), torch.randn(1, depth)

    def called(function: Product) -> None:
        with torch.no_grad():
            function(x, weights)

    functions = {name: partial(called, function) for name, function in products().items()}
    times = measure(functions, Effort(5, 0.2))
    least = min(spread.median for spread in times.values())
    return least, f"one vector times all weights, {4 * numbers / least / 1e9:.0f} GB/s"

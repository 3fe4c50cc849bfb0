"""A product of matrices by each library at hand, and the peak of the machine by the fastest."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from recurra.backends.cpu import product
from timing import settle

LARGE = 2048
Product = Callable[[Tensor, Tensor], Tensor]


def _onednn(x: Tensor, weight: Tensor) -> Tensor:
    found: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")
    return found


def products() -> dict[str, Product]:
    """x (M, K) times the transpose of weight (N, K), by name of the library."""
    found: dict[str, Product] = {
        "torch": torch.nn.functional.linear,
        "recurra": product.linear,
    }
    # torch sends float32 to MKL, at half speed on AMD; its compiler also knows oneDNN's operator.
    if torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        found["oneDNN"] = _onednn
    return found


def large_product() -> float:
    """GFLOP/s of a float32 product of two square matrices, by the fastest library at hand."""
    left, right = _matrices(LARGE)
    found = []
    for function in products().values():
        settle()
        with torch.no_grad():
            function(left, right)  # wakes its threads
            start = time.perf_counter()
            function(left, right)
        found.append(2 * LARGE**3 / (time.perf_counter() - start) / 1e9)
    return max(found)


@cache
def _matrices(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(size, size), torch.randn(size, size)

"""A product of matrices by each library at hand."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recurra.backends.cpu import product

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

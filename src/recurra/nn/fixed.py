"""Weights that are computed once from their indices, and never trained."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import torch
from torch import Tensor

from recurra.graph.cell import Fixed
from recurra.graph.shapes import Shape


def fixed_weight(
    rule: Fixed,
    shape: Shape,
    sizes: Mapping[str, int],
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The weight with the value `rule(*indices, sizes)` at each place; shape () gives (1,)."""
    counts = [sizes[letter] for letter in shape]
    values = [float(rule(*indices, sizes)) for indices in product(*map(range, counts))]
    return torch.tensor(values, device=device, dtype=dtype).view(counts or [1])

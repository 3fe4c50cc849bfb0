"""Convolution in the place of a product: a graph read over maps of values, on the reference."""

from __future__ import annotations

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

_BY_DIMENSIONS = {1: F.conv1d, 2: F.conv2d}


def convolve(value: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
    """Every place of a map from its neighbours, with zeros around the map.

    Channels stand last, where the units of a vector stand, so that all other operations of a graph
    act on each place alike.

    Args:
        value: (..., *space, channels).
        kernel: (channels after, channels, *width), each width odd; its length says how many
            dimensions the space has.
        bias: (channels after,).

    Returns:
        (..., *space, channels after).
    """
    dims = kernel.dim() - 2
    lead = value.shape[: -dims - 1]
    maps = value.flatten(0, len(lead) - 1).movedim(-1, 1)
    after = _BY_DIMENSIONS[dims](maps, kernel, bias, padding="same")
    return after.movedim(1, -1).unflatten(0, lead)

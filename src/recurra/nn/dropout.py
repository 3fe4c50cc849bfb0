"""Dropout with masks drawn four at a time.

torch draws one random number of 64 bits for each element, on one thread; on a CPU that takes as
long as a fused recurrence. Here an element takes 16 bits of one, so a probability is a multiple of
2**-16, and the scale is exact for it. Srivastava et al. 2014, JMLR 15.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from recurra.nn.options import probability

_LEVELS = 2**16


def drawn(like: Tensor, rate: float, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """Truths (shape), True with the probability `rate`, from torch's generator of the device."""
    level = _level(rate)
    if not level:
        return torch.zeros(shape, dtype=torch.bool, device=like.device)
    count = math.prod(shape)
    bits = _words(-(-count // 4), like.device).view(torch.int16)[:count].view(shape)
    return bits <= level - 1 - _LEVELS // 2  # of the numbers from -2**15, the `level` smallest


def _words(count: int, device: torch.device) -> Tensor:
    """Random numbers of 64 bits."""
    if torch.compiler.is_dynamo_compiling():  # which knows randint alone, with the first bit turned
        return torch.randint(-(2**63), 2**63 - 1, (count,), device=device) ^ -(2**63)
    return torch.empty(count, dtype=torch.int64, device=device).random_(-(2**63), None)


def _level(rate: float) -> int:
    return round(rate * _LEVELS)


def mask(like: Tensor, rate: float, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """A dropout mask (shape): 0 with the probability `rate`, else what keeps the mean."""
    kept = _LEVELS - _level(rate)
    if not kept:
        return like.new_zeros(shape)
    return drawn(like, kept / _LEVELS, shape).to(like.dtype).mul_(_LEVELS / kept)


def zoneout_mask(like: Tensor, rate: float, training: bool, shape: tuple[int, ...]) -> Tensor:
    """Which units keep their old value (T, B, H): drawn in training, else the share itself."""
    if not training:
        return like.new_full((1, 1, 1), rate).expand(shape)
    return drawn(like, rate, shape).to(like.dtype)


def dropout(x: Tensor, rate: float, training: bool) -> Tensor:
    """X with elements zero with the probability `rate`, in training; a new mask in each call."""
    return x * mask(x, rate, x.shape) if training and rate else x


class Dropout(nn.Module):
    """`torch.nn.Dropout`, faster on a CPU.

    Args:
        p: the probability of a zero.

    Raises:
        UsageError: p is not in 0..1.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = probability("p", p)

    def forward(self, x: Tensor) -> Tensor:
        """X (any shape), in training with zeros and scaled up."""
        return dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"

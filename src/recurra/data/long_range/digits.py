"""Sequential digits: small drawn digits, read pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.data.long_range.base import Batch, ClassesTask, last_only
from recurra.errors import UsageError

SIDE = 8
_ROWS = """
.###. ..#.. .###. ####. ...#. ##### .###. ##### .###. .###.
#...# .##.. #...# ....# ..##. #.... #.... ....# #...# #...#
#...# ..#.. ....# ....# .#.#. #.... #.... ...#. #...# #...#
#...# ..#.. ...#. .###. #..#. ####. ####. ...#. .###. .####
#...# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....#
#...# ..#.. .#... #...# ...#. #...# #...# ..#.. #...# ....#
.###. .###. ##### .###. ...#. .###. .###. ..#.. .###. .###.
"""
# (10, 7, 5): 1 where a digit has ink.
GLYPHS = torch.tensor(
    [
        [[mark == "#" for mark in line.split()[digit]] for line in _ROWS.split("\n")[1:8]]
        for digit in range(10)
    ]
).float()


class SequentialDigits(ClassesTask):
    """Le, Jaitly & Hinton 2015, arXiv:1504.00941, section 4.2, in small: no pictures to download.

    A picture of 8 x 8 pixels holds one of ten drawn digits (7 x 5) at a random place, with a random
    strength of its ink and noise on every pixel. Its pixels come one a step, line by line, or in an
    order that is random but fixed; after the last one the digit is to be told. The paper reads
    photographs of 28 x 28 pixels (MNIST), so numbers cannot be compared, orders of cells can.

    Shapes: inputs (64, B, 1), targets (64, B), asked at the last step.

    Args:
        noise: standard deviation of the noise; ink has 0.6 to 1.
        permutation: seed of a random order of the pixels; None: line by line.

    Raises:
        UsageError: noise is below 0.
    """

    input_size = 1
    output_size = 10
    solved = "no threshold; the paper's identity RNN reads 97 % of its test pictures right"

    def __init__(self, noise: float = 0.1, permutation: int | None = None) -> None:
        if noise < 0:
            raise UsageError(f"noise={noise}; it is a standard deviation, 0 or more.")
        self.noise = noise
        self.order = torch.arange(SIDE * SIDE)
        if permutation is not None:
            generator = torch.Generator().manual_seed(permutation)
            self.order = torch.randperm(SIDE * SIDE, generator=generator)

    def pictures(self, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures (B, 8, 8) and their digits (B,)."""
        digits = torch.randint(0, 10, (rows,), generator=generator)
        height, width = GLYPHS.shape[1:]
        top = torch.randint(0, SIDE - height + 1, (rows,), generator=generator)
        left = torch.randint(0, SIDE - width + 1, (rows,), generator=generator)
        ink = 0.6 + 0.4 * torch.rand(rows, generator=generator)
        pictures = torch.zeros(rows, SIDE, SIDE)
        row = torch.arange(rows).view(-1, 1, 1)
        down = top.view(-1, 1, 1) + torch.arange(height).view(1, -1, 1)
        across = left.view(-1, 1, 1) + torch.arange(width).view(1, 1, -1)
        pictures[row, down, across] = GLYPHS[digits] * ink.view(-1, 1, 1)
        noise = torch.randn(pictures.shape, generator=generator)
        return pictures + self.noise * noise, digits

    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """See `LongRangeTask.batch`."""
        pictures, digits = self.pictures(rows, generator)
        lengths = torch.full((rows,), SIDE * SIDE)
        asked = last_only(lengths)
        inputs = pictures.flatten(1)[:, self.order].T.unsqueeze(-1)
        return Batch(inputs.contiguous(), digits * asked, asked, lengths)

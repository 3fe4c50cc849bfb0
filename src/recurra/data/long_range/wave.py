"""Wave generation: a network without input is to give out one long curve."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from recurra.data.long_range.base import Batch, ValuesTask, at_least, check


class Wave(ValuesTask):
    """Koutnik, Greff, Gomez & Schmidhuber 2014, arXiv:1402.3511, section 4.1, in small.

    The curve is a sum of sines with periods from 8 to T steps, each twice as long as the one
    before, with random phases and strengths, scaled to -1..1: slow parts under fast ones, as in the
    320 samples of music which the paper learns. There is one curve for a task; every row of a batch
    is this curve, and the input is 0.

    Shapes: inputs (T, B, 1), targets (T, B, 1), asked in every step.

    Args:
        steps: T; the paper's 320.
        seed: of the curve.
    """

    input_size = output_size = 1
    tolerance = 0.1
    solved = (
        "no threshold; the paper compares normalised mean squared errors (`Wave.error`). Here a "
        "row is right with every absolute error below 0.1"
    )

    def __init__(self, steps: int = 320, seed: int = 0) -> None:
        self.steps = at_least("steps", steps, 16)
        generator = torch.Generator().manual_seed(seed)
        number = int(math.log2(steps / 8)) + 1
        periods = 8.0 * 2.0 ** torch.arange(number)
        phases = 2 * math.pi * torch.rand(number, generator=generator)
        strengths = 0.3 + 0.7 * torch.rand(number, generator=generator)
        times = torch.arange(steps).unsqueeze(1)
        curve = (strengths * torch.sin(2 * math.pi * times / periods + phases)).sum(1)
        self.curve = curve / curve.abs().max()

    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """See `LongRangeTask.batch`; the generator is not asked, as there is one curve only."""
        targets = self.curve.view(-1, 1, 1).repeat(1, rows, 1)
        asked = torch.ones(self.steps, rows, dtype=torch.bool)
        lengths = torch.full((rows,), self.steps)
        return Batch(torch.zeros_like(targets), targets, asked, lengths)

    def error(self, output: Tensor, batch: Batch) -> float:
        """The mean squared error over the variance of the curve; 1 for who gives out its mean."""
        check(output, batch, self.output_size)
        squared = (output - batch.targets).square().mean()
        return float(squared / self.curve.var(correction=0))

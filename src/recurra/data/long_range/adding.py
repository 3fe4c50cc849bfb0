"""The adding problem: two marked numbers, far from the end, are to be added."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.data.long_range.base import Batch, ValuesTask, at_least, between, last_only


class Adding(ValuesTask):
    """Hochreiter & Schmidhuber 1997, Long short-term memory, experiment 4.

    A step is a number from -1..1 and a mark: 1 for two of them, -1 for the first and last step,
    else 0. The first mark is among the first ten steps, the second among the first T/2 - 1. A
    sequence has T to T + T/10 steps; at its last one the target is 0.5 + (X1 + X2) / 4.

    Shapes: inputs (T, B, 2), targets (T, B, 1), asked at the last step of each row.

    Args:
        steps: T, 22 at least, so that the second mark has somewhere to stand.
    """

    input_size = 2
    output_size = 1
    tolerance = 0.04
    solved = (
        "a sequence is right with an absolute error below 0.04 at its end; solved when the mean "
        "training error is below 0.01 and the last 2,000 sequences were right"
    )

    def __init__(self, steps: int = 100) -> None:
        self.steps = at_least("steps", steps, 22)

    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """See `LongRangeTask.batch`."""
        lengths = between(self.steps, self.steps + self.steps // 10, rows, generator)
        most = int(lengths.max())
        numbers = torch.rand(most, rows, generator=generator) * 2 - 1
        first, second = self._marks(rows, generator)
        row = torch.arange(rows)
        marks = torch.zeros(most, rows)
        marks[0] = marks[lengths - 1, row] = -1
        marks[first, row] = marks[second, row] = 1
        numbers[0, (first == 0) | (second == 0)] = 0
        total = numbers[first, row] + numbers[second, row]
        steps = torch.arange(most).unsqueeze(1)
        inputs = torch.stack([numbers, marks], -1) * (steps < lengths).unsqueeze(-1)
        asked = last_only(lengths)
        targets = (0.5 + total / 4) * asked
        return Batch(inputs, targets.unsqueeze(-1), asked, lengths)

    def _marks(self, rows: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The two places, which differ."""
        first = between(0, 9, rows, generator)
        second = between(0, self.steps // 2 - 3, rows, generator)
        return first, second + (second >= first).long()

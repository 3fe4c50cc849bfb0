"""Temporal order: which of two symbols came first, far from the end."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.data.long_range.base import Batch, ClassesTask, at_least, between, check, last_only

SYMBOLS = "EBabcdXY"


class TemporalOrder(ClassesTask):
    """Hochreiter & Schmidhuber 1997, Long short-term memory, experiment 6a.

    A sequence begins with E, ends with B and is filled with random symbols of a, b, c, d; at two
    places stand X or Y. The class is their order: XX, XY, YX or YY. For T = 100 the places are
    10 to 20 and 50 to 60 and a sequence has 100 to 110 symbols; for other T in proportion.

    Shapes: inputs (T, B, 8), one-hot in the order of `SYMBOLS`; targets (T, B), asked at the last
    step of each row.

    Args:
        steps: T, 10 at least.
    """

    input_size = len(SYMBOLS)
    output_size = 4
    tolerance = 0.3
    solved = (
        "a sequence is right when the absolute error of every output at its end is below 0.3; "
        "solved when the mean training error is below 0.1 and the last 2,000 sequences were right"
    )

    def __init__(self, steps: int = 100) -> None:
        self.steps = at_least("steps", steps, 10)

    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """See `LongRangeTask.batch`."""
        tenth = self.steps // 10
        lengths = between(self.steps, self.steps + tenth, rows, generator)
        most, row = int(lengths.max()), torch.arange(rows)
        symbols = torch.randint(2, 6, (most, rows), generator=generator)
        first = between(tenth, 2 * tenth, rows, generator)
        second = between(5 * tenth, 6 * tenth, rows, generator)
        kinds = torch.randint(0, 2, (2, rows), generator=generator)
        symbols[0] = 0
        symbols[first, row], symbols[second, row] = 6 + kinds
        symbols[lengths - 1, row] = 1
        steps = torch.arange(most).unsqueeze(1)
        inputs = torch.nn.functional.one_hot(symbols, self.input_size).float()
        inputs *= (steps < lengths).unsqueeze(-1)
        asked = last_only(lengths)
        return Batch(inputs, (2 * kinds[0] + kinds[1]) * asked, asked, lengths)

    def correct(self, output: Tensor, batch: Batch) -> Tensor:
        """See `LongRangeTask.correct`; the softmax of the outputs is compared with 0 and 1."""
        check(output, batch, self.output_size)
        wanted = torch.nn.functional.one_hot(batch.targets, self.output_size)
        right = ((output.softmax(-1) - wanted).abs() < self.tolerance).all(-1)
        return (right | ~batch.asked).all(0)

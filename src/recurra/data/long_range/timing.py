"""Counting with timing: the distance between spikes is to be measured, or made."""

from __future__ import annotations

import torch

from recurra.data.long_range.base import Batch, BitsTask, at_least, last_only


class SpikeDelays(BitsTask):
    """Measuring spike delays. Gers, Schraudolph & Schmidhuber 2002, JMLR 3, 115-143.

    Spikes come at a constant distance, which is either F or F + 1 steps, from the first step on.
    At the end it is to be told which: 1 for F + 1.

    Shapes: inputs (T, B, 1), 1 at a spike; targets (T, B, 1), asked at the last step.

    Args:
        distance: F; the paper goes up to 49 against 50.
        spikes: of a sequence, 2 at least; the last step is that of the last spike.
    """

    input_size = output_size = 1
    tolerance = 0.49
    solved = "a sequence is right with an absolute error below 0.49; solved when all are right"

    def __init__(self, distance: int = 10, spikes: int = 4) -> None:
        self.distance = at_least("distance", distance, 2)
        self.spikes = at_least("spikes", spikes, 2)

    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """See `LongRangeTask.batch`."""
        longer = torch.randint(0, 2, (rows,), generator=generator)
        distances = self.distance + longer
        lengths = (self.spikes - 1) * distances + 1
        steps = torch.arange(int(lengths.max())).unsqueeze(1)
        inputs = ((steps % distances == 0) & (steps < lengths)).float()
        asked = last_only(lengths)
        targets = (longer * asked).float()
        return Batch(inputs.unsqueeze(-1), targets.unsqueeze(-1), asked, lengths)


class TimedSpikes(BitsTask):
    """Generating timed spikes. Gers, Schraudolph & Schmidhuber 2002, JMLR 3, 115-143.

    The inverse of `SpikeDelays`: a stream of spikes is to be given out, of which the n-th follows
    the one before it after F + I(n) steps. The input is I(n) in the step in which this time begins
    to run, else 0; with one choice there is nothing to read, and the cell must tell the time alone.

    Shapes: inputs (T, B, 1), targets (T, B, 1), asked in every step.

    Args:
        distance: F.
        choices: I(n) is drawn from 0 .. choices - 1.
        steps: T.
    """

    input_size = output_size = 1
    tolerance = 0.49
    solved = (
        "a sequence is right when every step, spike or none, has an absolute error below 0.49; "
        "solved when all are right"
    )

    def __init__(self, distance: int = 10, choices: int = 1, steps: int = 100) -> None:
        self.distance = at_least("distance", distance, 2)
        self.choices = at_least("choices", choices, 1)
        self.steps = at_least("steps", steps, distance + choices)

    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """See `LongRangeTask.batch`."""
        number = self.steps // self.distance + 1
        more = torch.randint(0, self.choices, (number, rows), generator=generator)
        ends = (self.distance + more).cumsum(0)
        begins = torch.cat([torch.zeros(1, rows, dtype=torch.int64), ends[:-1]])
        inputs, targets = torch.zeros(2, self.steps + self.distance * 2 + self.choices, rows)
        row = torch.arange(rows).expand(number, -1)
        last = len(inputs) - 1
        inputs[begins.clamp(max=last), row] = more.float()
        targets[ends.clamp(max=last), row] = 1
        asked = torch.ones(self.steps, rows, dtype=torch.bool)
        inputs, targets = inputs[: self.steps], targets[: self.steps]
        lengths = torch.full((rows,), self.steps)
        return Batch(inputs.unsqueeze(-1), targets.unsqueeze(-1), asked, lengths)

"""Parity: whether a long row of bits holds an odd number of ones."""

from __future__ import annotations

import torch

from recurra.data.long_range.base import Batch, BitsTask, alive, at_least, between, last_only


class Parity(BitsTask):
    """Hochreiter & Schmidhuber 1996, LSTM can solve hard long time lag problems (NIPS 9).

    A step is 1 or -1; the target is 1 if the number of ones so far is odd. That paper asks at the
    end of long sequences and shows that guessing weights finds a solution, so that the task alone
    proves little; asked in every step, it is a test of keeping one bit.

    Shapes: inputs (T, B, 1), targets (T, B, 1).

    Args:
        shortest: steps of a row at least.
        longest: steps of a row at most.
        every_step: ask in every step, not at the end alone.
    """

    input_size = output_size = 1
    tolerance = 0.5
    solved = "a sequence is right when every step that is asked is; solved when all are right"

    def __init__(self, shortest: int = 50, longest: int = 60, every_step: bool = False) -> None:
        self.shortest = at_least("shortest", shortest, 1)
        self.longest = at_least("longest", longest, shortest)
        self.every_step = every_step

    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """See `LongRangeTask.batch`."""
        lengths = between(self.shortest, self.longest, rows, generator)
        here = alive(lengths)
        bits = torch.randint(0, 2, here.shape, generator=generator)
        inputs = (2.0 * bits - 1) * here
        asked = here if self.every_step else last_only(lengths)
        targets = (bits.cumsum(0) % 2) * asked
        return Batch(inputs.unsqueeze(-1), targets.unsqueeze(-1).float(), asked, lengths)

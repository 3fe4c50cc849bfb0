"""Copying: symbols are shown, a long silence follows, and they are to be said again."""

from __future__ import annotations

import math

import torch

from recurra.data.long_range.base import Batch, ClassesTask, at_least


class Copying(ClassesTask):
    """Arjovsky, Shah & Bengio 2016, arXiv:1511.06464, section 5.1; after Hochreiter & Schmidhuber.

    K symbols of an alphabet of N are shown, then T - 1 blanks, then the mark to begin, then K
    blanks, during which the symbols are to be said in order; before that, a blank. A sequence has
    T + 2K steps, all of which are asked. Classes: 0..N-1 the symbols, N the blank, N+1 the mark.

    Shapes: inputs (T + 2K, B, N + 2), one-hot; targets (T + 2K, B).

    Args:
        delay: T.
        length: K; the paper's 10.
        symbols: N; the paper's 8.
    """

    def __init__(self, delay: int = 100, length: int = 10, symbols: int = 8) -> None:
        self.delay = at_least("delay", delay, 1)
        self.length = at_least("length", length, 1)
        self.symbols = at_least("symbols", symbols, 2)
        self.input_size = symbols + 2
        self.output_size = symbols + 1
        self.solved = (
            "without memory the best mean cross-entropy is K log N / (T + 2K), "
            f"{self.baseline:.4f} here; solved when it goes to 0"
        )

    @property
    def baseline(self) -> float:
        """The cross-entropy (nats a step) of who says blanks, then any symbol: without memory."""
        return self.length * math.log(self.symbols) / (self.delay + 2 * self.length)

    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """See `LongRangeTask.batch`."""
        shown = torch.randint(0, self.symbols, (self.length, rows), generator=generator)
        steps = self.delay + 2 * self.length
        inputs = torch.full((steps, rows), self.symbols)
        targets = inputs.clone()
        inputs[: self.length] = shown
        inputs[steps - self.length - 1] = self.symbols + 1
        targets[steps - self.length :] = shown
        one_hot = torch.nn.functional.one_hot(inputs, self.input_size).float()
        asked = torch.ones(steps, rows, dtype=torch.bool)
        return Batch(one_hot, targets, asked, torch.full((rows,), steps))

"""The learning rate: a function of the step, times what plateaus have taken from it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recurra.training.options import TrainingOptions

PLATEAU_FACTOR = 0.5
PLATEAU_WAIT = 2


@dataclass
class Schedule:
    """Learning rates of one training of `steps` steps (none: without an end).

    All but `plateau` follow from the step alone, so a resume with another `lr` or another number of
    epochs takes effect at once. `plateau` halves the rate after 2 evaluations without improvement;
    it remembers `best`, `waited` and `scale`.
    """

    options: TrainingOptions
    steps: int | None
    best: float = math.inf
    waited: int = 0
    scale: float = 1.0

    def rate(self, step: int) -> float:
        """The learning rate of the step that follows `step` finished ones."""
        warmup = self.options.warmup_steps
        rise = min(1.0, (step + 1) / warmup) if warmup else 1.0
        return self.options.lr * rise * self.scale * self._decay(max(0, step - warmup))

    def evaluated(self, value: float) -> None:
        """Take note of an evaluation; smaller is better."""
        if value < self.best:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.options.schedule == "plateau" and self.waited >= PLATEAU_WAIT:
            self.scale, self.waited = self.scale * PLATEAU_FACTOR, 0

    def state(self) -> dict[str, float]:
        """What a checkpoint must hold."""
        return {"best": self.best, "waited": self.waited, "scale": self.scale}

    def _decay(self, step: int) -> float:
        if self.steps is None or self.options.schedule in ("constant", "plateau"):
            return 1.0
        done = min(1.0, step / max(1, self.steps - self.options.warmup_steps))
        return (
            1.0 - done if self.options.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
        )

"""All that changes while a model is trained, and its way into a checkpoint and back."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recurra.tasks.base import State, Task
from recurra.training import random_state
from recurra.training.options import TrainingOptions
from recurra.training.processes import Accelerator, joined, rows
from recurra.training.schedule import Schedule
from recurra.training.states import ROWS, over

MOST_STEPS_BETWEEN_EVALUATIONS = 500


@dataclass
class Progress:
    """How far training is; the same on every process."""

    step: int = 0  # finished steps
    seconds: float = 0.0  # spent in steps, without evaluation and saving
    evaluated: int = 0  # the step of the last evaluation
    best: float = math.inf  # of all evaluations
    stale: int = 0  # evaluations since the best
    loss_sum: float = 0.0  # of the steps since the last evaluation
    loss: float = math.nan  # of the last step


class Clock:
    """Seconds spent inside `with clock:`, the present time inside included."""

    def __init__(self) -> None:
        self._past = 0.0
        self._since: float | None = None

    def set(self, seconds: float) -> None:
        """Go on from here."""
        self._past = seconds

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._past, self._since = self.seconds, None

    @property
    def seconds(self) -> float:
        """The sum so far."""
        return self._past + (time.perf_counter() - self._since if self._since else 0.0)


class Session:
    """One training on the processes of `accelerator`: model, optimizer, carried state, progress.

    `state` is what the next chunk starts from: (layers, B, H) with the rows of this process.
    """

    def __init__(self, task: Task, options: TrainingOptions, accelerator: Accelerator) -> None:
        self.task, self.options, self.accelerator = task, options, accelerator
        self.rows = rows(task.batch_size, accelerator)
        self.steps_per_epoch = task.train_steps_per_epoch
        self.steps = options.epochs * self.steps_per_epoch if options.epochs else None
        random_state.seed(options.seed)
        model = task.build_model()
        # Weights are equal on all processes, dropout is not.
        random_state.seed(options.seed + accelerator.process_index)
        # One fused update of all weights; PyTorch has no such kernel for other devices.
        fused = accelerator.device.type in ("cpu", "cuda")
        optimizer = torch.optim.Adam(model.parameters(), lr=options.lr, fused=fused)
        self.model: nn.Module = accelerator.prepare_model(model)
        self.optimizer = accelerator.prepare_optimizer(optimizer)
        self.schedule = Schedule(options, self.steps)
        self.progress = Progress()
        self.clock = Clock()
        self.state: State = None

    @property
    def plain_model(self) -> nn.Module:
        """The model without the wrapper that shares it among processes."""
        model: nn.Module = self.accelerator.unwrap_model(self.model)
        return model

    def evaluation_is_due(self) -> bool:
        """Whether the step just finished is to be followed by an evaluation."""
        step, every = self.progress.step, self.options.eval_every
        if step == self.progress.evaluated:
            return False
        if every is not None:
            return step % every == 0 or self.ended() is not None
        parts = math.ceil(self.steps_per_epoch / MOST_STEPS_BETWEEN_EVALUATIONS)
        index = step % self.steps_per_epoch
        return index % math.ceil(self.steps_per_epoch / parts) == 0 or self.ended() is not None

    def save_is_due(self) -> bool:
        """Whether a checkpoint is wanted here even without an evaluation."""
        every = self.options.save_every
        return every is not None and self.progress.step % every == 0

    def inspection_is_due(self) -> bool:
        """Whether the model is to be looked into after the step just finished."""
        every = self.options.inspect_every
        return every is not None and self.progress.step % every == 0

    def ended(self) -> str | None:
        """The limit that was reached: "epochs", "minutes" or "patience"."""
        options, progress = self.options, self.progress
        if self.steps is not None and progress.step >= self.steps:
            return "epochs"
        if options.minutes is not None and progress.seconds >= 60 * options.minutes:
            return "minutes"
        if options.patience is not None and progress.stale >= options.patience:
            return "patience"
        return None

    def agreed(self, number: float, stop: int) -> tuple[float, int]:
        """The mean of `number` and any `stop` of all processes; the time is that of the first."""
        mine = torch.tensor([[number, stop, self.clock.seconds]], dtype=torch.float64)
        every = joined(mine, self.accelerator)
        self.progress.seconds = every[0, 2].item()
        return every[:, 0].mean().item(), int(every[:, 1].max())

    def first_of(self, number: float, stop: int) -> tuple[float, int]:
        """The `number` of the first process and any `stop` of all."""
        mine = torch.tensor([[number, stop]], dtype=torch.float64)
        every = joined(mine, self.accelerator)
        return every[0, 0].item(), int(every[:, 1].max())

    def note(self, value: float) -> bool:
        """Take note of an evaluation, smaller is better; whether it is the best so far."""
        progress = self.progress
        best = value < progress.best
        progress.best = min(value, progress.best)
        progress.stale = 0 if best else progress.stale + 1
        progress.evaluated, progress.loss_sum = progress.step, 0.0
        self.schedule.evaluated(value)
        return best

    def capture(self) -> dict[str, Any]:
        """All that `restore` needs. Every process must call it at the same step."""
        scaler = self.accelerator.scaler
        return {
            "model": self.plain_model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": scaler.state_dict() if scaler else {},
            "schedule": self.schedule.state(),
            "progress": asdict(self.progress),
            "state": over(lambda part: joined(part, self.accelerator, ROWS), self.state),
            "random": {
                name: joined(value[None], self.accelerator)
                for name, value in random_state.capture().items()
            },
        }

    def restore(self, tree: dict[str, Any]) -> None:
        """Go on exactly where `capture` was called, on as many processes or on others."""
        self.plain_model.load_state_dict(tree["model"])
        self.optimizer.load_state_dict(tree["optimizer"])
        if self.accelerator.scaler and tree["scaler"]:
            self.accelerator.scaler.load_state_dict(tree["scaler"])
        self.schedule = Schedule(self.options, self.steps, **tree["schedule"])
        self.progress = Progress(**tree["progress"])
        self.clock.set(self.progress.seconds)
        self.state = over(self._share, tree["state"])
        me = self.accelerator.process_index
        if me < len(tree["random"]["torch"]):
            random_state.restore({name: value[me] for name, value in tree["random"].items()})

    def _share(self, part: Tensor) -> Tensor:
        share = part[:, self.rows] if part.dim() > ROWS else part
        return share.contiguous().to(self.accelerator.device)

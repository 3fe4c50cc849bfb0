"""What the tasks of long-range memory share: batches, losses, and when a sequence is right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from recurra.errors import ShapeError, UsageError


@dataclass(frozen=True)
class Batch:
    """Sequences of one task.

    Attributes:
        inputs: (T, B, I) float32, 0 after the end of a row.
        targets: (T, B, O) float32 for values and bits, (T, B) int64 for classes.
        asked: (T, B) bool, the steps whose output counts.
        lengths: (B,) int64, steps of each row.
    """

    inputs: Tensor
    targets: Tensor
    asked: Tensor
    lengths: Tensor


class LongRangeTask(ABC):
    """Abstract: a generated task.

    Attributes:
        input_size: I.
        output_size: O, what a head on the network gives out in each step.
        solved: when its paper calls it solved, in a sentence.
    """

    input_size: int
    output_size: int
    solved: str

    @abstractmethod
    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """B = rows sequences, drawn by the generator."""

    @abstractmethod
    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """The mean loss of the steps that are asked; output: (T, B, O)."""

    @abstractmethod
    def correct(self, output: Tensor, batch: Batch) -> Tensor:
        """(B,) bool: the rows that are right by the rule of the paper; output: (T, B, O)."""

    def batches(self, rows: int, seed: int, number: int | None = None) -> Iterator[Batch]:
        """Batches of fresh sequences; the same seed gives the same.

        Args:
            rows: B.
            seed: of the generator.
            number: of batches; None: without end.

        Raises:
            UsageError: rows is below 1.
        """
        if rows < 1:
            raise UsageError(f"rows={rows}; give 1 or more.")
        generator = torch.Generator().manual_seed(seed)
        for _ in count() if number is None else range(number):
            yield self.batch(rows, generator)


class ValuesTask(LongRangeTask):
    """Abstract: the target is a number for each output; the loss is the mean squared error."""

    tolerance: float  # absolute error below which an output is right

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """See `LongRangeTask.loss`."""
        check(output, batch, self.output_size)
        return F.mse_loss(output[batch.asked], batch.targets[batch.asked])

    def correct(self, output: Tensor, batch: Batch) -> Tensor:
        """See `LongRangeTask.correct`."""
        check(output, batch, self.output_size)
        right = ((output - batch.targets).abs() < self.tolerance).all(-1)
        return (right | ~batch.asked).all(0)


class BitsTask(LongRangeTask):
    """Abstract: the target is 0 or 1 for each output, whose sigmoid is its probability."""

    tolerance: float  # of the probability

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """See `LongRangeTask.loss`."""
        check(output, batch, self.output_size)
        asked = batch.asked
        return F.binary_cross_entropy_with_logits(output[asked], batch.targets[asked])

    def correct(self, output: Tensor, batch: Batch) -> Tensor:
        """See `LongRangeTask.correct`."""
        check(output, batch, self.output_size)
        right = ((output.sigmoid() - batch.targets).abs() < self.tolerance).all(-1)
        return (right | ~batch.asked).all(0)


class ClassesTask(LongRangeTask):
    """Abstract: the target is one of O classes, whose softmax is its probability."""

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """See `LongRangeTask.loss`."""
        check(output, batch, self.output_size)
        return F.cross_entropy(output[batch.asked], batch.targets[batch.asked])

    def correct(self, output: Tensor, batch: Batch) -> Tensor:
        """Every step that is asked has its class on top; see `LongRangeTask.correct`."""
        check(output, batch, self.output_size)
        return ((output.argmax(-1) == batch.targets) | ~batch.asked).all(0)


def check(output: Tensor, batch: Batch, size: int) -> None:
    """Refuse an output of another shape.

    Raises:
        ShapeError: it is not (T, B, O) of this batch.
    """
    needed = (*batch.asked.shape, size)
    if tuple(output.shape) != needed:
        raise ShapeError(f"the output has the shape {tuple(output.shape)}; (T, B, O) is {needed}.")


def at_least(name: str, value: int, least: int) -> int:
    """A size.

    Raises:
        UsageError: it is no whole number from `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{name}={value!r}; it must be a whole number from {least}.")
    return value


def between(low: int, high: int, rows: int, generator: torch.Generator) -> Tensor:
    """(rows,) int64, uniform in low..high, both included."""
    return torch.randint(low, high + 1, (rows,), generator=generator)


def alive(lengths: Tensor) -> Tensor:
    """(T, B) bool, True before the end of a row; T is the longest."""
    return torch.arange(int(lengths.max())).unsqueeze(1) < lengths


def last_only(lengths: Tensor) -> Tensor:
    """(T, B) bool, True in the last step of each row."""
    return torch.arange(int(lengths.max())).unsqueeze(1) == lengths - 1

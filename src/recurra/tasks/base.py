"""Task: what the training loop knows of a problem."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# What a model carries from one chunk to the next: nothing, a tensor, or tuples of them. The rows of
# the batch are in dimension 1 of each, as in (layers, B, H).
State: TypeAlias = "Tensor | tuple[State, ...] | None"


class Task(ABC):
    """A problem: examples, a model, a loss, metrics, a sample of what the model does.

    An epoch is `train_steps_per_epoch` chunks, asked for by number, so that training can go on at
    any of them. A chunk has `batch_size` rows. Row b of a chunk may go on where row b of the chunk
    before it stopped; the state of the model then carries what it remembers. Several processes may
    share the rows; each asks for its own.

    Attributes:
        name: of the kind of task, as on the command line.
        monitor: the metric that decides which weights are kept; smaller is better.
        batch_size: B, rows of a chunk.
        seq_len: T, steps of a chunk at most.
        train_steps_per_epoch: chunks of an epoch.
        fingerprint: another one for other data; a run goes on only with the data it began with.
    """

    name: ClassVar[str]
    monitor: ClassVar[str]
    batch_size: int
    seq_len: int
    train_steps_per_epoch: int
    fingerprint: str

    @abstractmethod
    def build_model(self) -> nn.Module:
        """A new model with random weights, from the global generator of torch."""

    @abstractmethod
    def model_options(self) -> dict[str, Any]:
        """The options of the model, as plain values for the configuration of the run."""

    @abstractmethod
    def train_loss(
        self, model: nn.Module, index: int, state: State, rows: slice, device: torch.device
    ) -> tuple[Tensor, State]:
        """The loss of one chunk.

        Args:
            model: in training mode; perhaps wrapped, so it is called and nothing else.
            index: the chunk, 0 .. train_steps_per_epoch - 1.
            state: what the chunk before gave back, cut from its graph; None at the start of an
                epoch.
            rows: which rows of the batch.
            device: where the model is.

        Returns:
            The mean loss of these rows, a scalar with a graph, and the state after the chunk.
        """

    @abstractmethod
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """The metrics on held-out examples, `monitor` among them."""

    def sample(self, model: nn.Module, device: torch.device, seed: int) -> str | None:
        """Something the model made, to be shown after an evaluation; the same for the same seed."""
        return None

    def probe(self, device: torch.device) -> Any:
        """A few held-out examples, always the same, to look inside the model with.

        Returns:
            what the model is called with, as `recurra.record` takes it; None: there are none.
        """
        return None

    def save(self, directory: Path) -> None:  # noqa: B027  (a task may need nothing)
        """Write what is needed beside the weights to use the model."""

    def describe(self, model: nn.Module) -> list[tuple[str, str]]:
        """Facts about the data and the model, to be shown at the start, as names and values."""
        return []

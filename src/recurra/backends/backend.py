"""What every backend is: it runs a graph over time, or says why it cannot."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.backends.weights import Weights
from recurra.graph import Graph


@dataclass(frozen=True)
class Given:
    """What a graph reads while it runs.

    Attributes:
        steps: T.
        rows: B.
        sequences: for each input leaf by name, (T, B, size), or (T, B, 1) for a scalar; with 1 in
            the place of B, the same for all rows. With
            `alive` (T, B, 1), rows end: it is 1 before the end of a row and 0 from there on, where
            the row keeps its states and gives out 0.
        per_row: for each given leaf by name, (B, size): the same in every step.
        states: for each state, (B, size), in the order of the graph; a scalar is (B, 1), a matrix
            (B, rows, columns).
    """

    steps: int
    rows: int
    sequences: Mapping[str, Tensor]
    per_row: Mapping[str, Tensor]
    states: tuple[Tensor, ...]


class Shortcut(ABC):
    """Runs a graph for calls of one form: the weights of one place, T, B, x and states.

    Rows may end at any lengths.

    It is made for weights of the sizes that the graph needs.
    """

    @abstractmethod
    def fits(self, stored: Sequence[Tensor | None]) -> bool:
        """Whether stored weights are plain tensors of the forms for which this was made.

        Args:
            stored: the tensors of `Weights.stacks`; None for one that is not there.
        """

    @abstractmethod
    def run(
        self,
        x: Tensor,
        stored: Sequence[Tensor],
        states: Sequence[Tensor],
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The output (T, B, size) and the states after the last step, each (1, B, size).

        Args:
            x: (T, B, I), without gaps.
            stored: weights that fit.
            states: before the first step, each (B, size), without gaps.
            lengths: (B,) int64 steps of each row, one of them at least 1; None: T of each.
        """


class Backend(ABC):
    """One way to run a graph over time.

    Attributes:
        name: of the backend.
        purpose: what it is for, in a few words.
    """

    name: str
    purpose: str

    @abstractmethod
    def refusal(
        self, graph: Graph, device: torch.device, dtype: torch.dtype, values: int | None = None
    ) -> str | None:
        """Why this backend does not run the graph there; None if it does.

        `values` is the size of a call, T x B x H; None for calls of any size.
        """

    @abstractmethod
    def run(
        self, graph: Graph, weights: Weights, given: Given
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The output (T, B, size) and the states after the last step, shaped as before.

        Behind the states come the sequences of `graph.shown`, each (T, B, size).
        """

    def shortcut(self, graph: Graph, weights: Weights, given: Given) -> Shortcut | None:
        """What runs calls of this form with less around them; None if there is nothing.

        Args:
            graph: one that the backend does not refuse, with x as its only sequence.
            weights: without any that are fixed.
            given: a call, its tensors without gaps.
        """
        return None

    def details(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        steps: int | None,
        rows: int | None,
        dtype: torch.dtype,
    ) -> list[tuple[str, str]]:
        """(label, text) of how the graph runs here, one line each; an empty label goes on.

        Args:
            graph: one that the backend does not refuse.
            sizes: the number behind each size letter, I included.
            steps: T of a call; None for calls of any size.
            rows: B of a call.
            dtype: of the weights.
        """
        return []

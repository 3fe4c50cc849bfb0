"""One step a call through a stack of layers: what a stream asks of a backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.reference import Reference
from recurra.backends.weights import Weights
from recurra.graph import Graph
from recurra.graph.facts import below

States = Sequence[tuple[Tensor, ...]]


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of a stack.

    Attributes:
        graph: of a step; its input x is the output of the layer below.
        sizes: the number behind each size letter.
        held: sequences that are the same in every step, by name, each (1, 1, size).
    """

    graph: Graph
    sizes: Mapping[str, int]
    held: Mapping[str, Tensor]


class Steps(ABC):
    """A stack that holds its state.

    Args:
        layers: from the lowest up.
        rows: B.
        like: a tensor in the place and number format of the weights.
    """

    def __init__(self, layers: Sequence[Layer], rows: int, like: Tensor) -> None:
        self.layers, self.rows = layers, rows

    @abstractmethod
    def load(self, weights: Sequence[Weights]) -> None:
        """Take the weights of each layer, before the first step and when they have changed."""

    @property
    @abstractmethod
    def states(self) -> States:
        """For each layer its states, each (B, size); the next step may write over them."""

    @abstractmethod
    def start(self, states: States) -> None:
        """Go on from these states."""

    @abstractmethod
    def step(self, x: Tensor, inputs: Mapping[str, Tensor], t: int) -> Tensor:
        """The output (B, size) of the last layer, in memory of its own.

        `x` and each of the further inputs are (B, size), one number right after the other.
        """


class ReferenceSteps(Steps):
    """A stack in PyTorch, of any cell, on any device, in any number format."""

    def __init__(self, layers: Sequence[Layer], rows: int, like: Tensor) -> None:
        super().__init__(layers, rows, like)
        self._backend = Reference()
        self._like = like
        self._weights: Sequence[Weights] = ()
        self._states: States = ()

    def load(self, weights: Sequence[Weights]) -> None:
        """See `Steps.load`."""
        self._weights = weights

    @property
    def states(self) -> States:
        """See `Steps.states`."""
        return self._states

    def start(self, states: States) -> None:
        """See `Steps.start`."""
        self._states = [tuple(part.clone() for part in own) for own in states]

    @torch.no_grad()
    def step(self, x: Tensor, inputs: Mapping[str, Tensor], t: int) -> Tensor:
        """See `Steps.step`."""
        clock = self._like.new_full((1, self.rows, 1), t)
        shared = {"t": clock, **{name: value.unsqueeze(0) for name, value in inputs.items()}}
        after = []
        output = x.unsqueeze(0)
        for layer, weights, before in zip(self.layers, self._weights, self._states, strict=True):
            held = {k: v.expand(1, self.rows, *v.shape[2:]) for k, v in layer.held.items()}
            given = Given(1, self.rows, {**shared, **held, "x": output}, {}, before)
            output, states = self._backend.run(layer.graph, weights, given)
            after.append(states[: len(before)])
            if layer.graph.shown:
                names = (str(leaf.attribute) for leaf in below(layer.graph))
                shared |= zip(names, states[len(before) :], strict=True)
        self._states = after
        return torch.clone(output[0])

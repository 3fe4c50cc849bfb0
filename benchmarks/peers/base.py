"""What a peer is: it prepares a function to be timed, whose results the gate can read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gate import Array, Results
from problem import Problem


class LeftOutError(Exception):
    """Why a peer is not timed in an entry."""


@dataclass(frozen=True)
class Prepared:
    """A function ready to be timed.

    Attributes:
        run: what is timed.
        results: calls it, and gives what it computes by the names of `Problem.expected`.
    """

    run: Callable[[], object]
    results: Callable[[], Results]


class Peer(ABC):
    """Another implementation, or one of ours.

    Attributes:
        tolerance: the largest deviation from the reference, as a share of the largest value of a
            quantity, that counts as the same.
    """

    tolerance: float = 1e-3

    @abstractmethod
    def prepare(self, problem: Problem) -> Prepared:
        """The function for a problem.

        Raises:
            LeftOutError: it cannot run here.
        """


def reading(run: Callable[[], Any], read: Callable[[Any], Results]) -> Prepared:
    """What a call gives, read."""
    return Prepared(run, lambda: read(run()))


def stepping(
    reset: Callable[[], object],
    step: Callable[[Any], Any],
    inputs: Sequence[Any],
    read: Callable[[Any], Array],
) -> Prepared:
    """Single steps of a stream: one is timed, several from its start are checked.

    Args:
        reset: starts the stream anew.
        step: (B, I) -> (B, H), whose state is held.
        inputs: the steps to check; the first is timed.
        read: an output as an array.
    """

    def results() -> Results:
        reset()
        return {"output": np.stack([np.array(read(step(x))) for x in inputs])}

    first = inputs[0]
    return Prepared(lambda: step(first), results)

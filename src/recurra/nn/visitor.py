"""Visitors: what looks into a layer while it runs, or changes what it computes.

A visitor is a rewrite of the graph: it names values to be given out beside the output, exchanges
nodes, adds inputs. So it is exact, and has what the backends have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from recurra.graph import Graph

if TYPE_CHECKING:
    from recurra.nn.weighted import Weighted


class Place(NamedTuple):
    """One layer in one direction."""

    layer: int
    direction: str

    def __str__(self) -> str:
        return f"{self.layer}.{self.direction}"


@dataclass(frozen=True, eq=False)
class Visit:
    """What one place gave out in a call.

    Attributes:
        values: for each name in `graph.shown` its sequence, (T, B, size), in the order of time;
            after the end of a row it holds anything.
        before: for each state by name (B, size): before the first step in the place's direction.
        lengths: (B,) steps of each row; None if all have T.
    """

    values: Mapping[str, Tensor]
    before: Mapping[str, Tensor]
    lengths: Tensor | None


class Visitor:
    """Does nothing; a kind of visitor overrides what it needs."""

    def rewrite(self, graph: Graph, place: Place) -> Graph:
        """The graph that is to run in a place: the same object whenever the same is asked."""
        return graph

    def inputs(self, graph: Graph, place: Place, x: Tensor) -> Mapping[str, Tensor]:
        """The sequences of the inputs that `rewrite` has added, by name.

        Args:
            graph: before the rewrite.
            place: where.
            x: (T, B, I), what the place reads.

        Returns:
            each (T, B, size) in the order of time; 1 in the place of T or B: the same in all.
        """
        return {}

    def visit(self, graph: Graph, place: Place, visit: Visit) -> None:
        """Called when a place has run; `graph` is the one that ran, without the layer's options."""


@contextmanager
def visiting(layer: Weighted, visitor: Visitor) -> Iterator[None]:
    """Within it the visitor sees every call of the layer; several take turns as they came."""
    layer.visitors = (*layer.visitors, visitor)
    try:
        yield
    finally:
        layer.visitors = tuple(one for one in layer.visitors if one is not visitor)


def rewritten(visitors: tuple[Visitor, ...], graph: Graph, place: Place) -> Graph:
    """The graph as all visitors want it."""
    for visitor in visitors:
        graph = visitor.rewrite(graph, place)
    return graph


def added_inputs(
    visitors: tuple[Visitor, ...], graph: Graph, place: Place, x: Tensor
) -> dict[str, Tensor]:
    """What the visitors give to a place beside its own inputs, each (T, B, size)."""
    found: dict[str, Tensor] = {}
    for visitor in visitors:
        for name, value in visitor.inputs(graph, place, x).items():
            found[name] = value.expand(*x.shape[: value.dim() - 1], -1)
        graph = visitor.rewrite(graph, place)
    return found

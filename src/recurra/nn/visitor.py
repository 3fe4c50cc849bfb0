"""Visitors: what looks into a layer while it runs, or changes what it computes.

A visitor is a rewrite of the graph: it names values to be given out beside the output, exchanges
nodes, adds inputs. So it is exact, and has what the backends have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
        further: sequences of the place that its equations do not name, such as the weights of an
            attention.

    Over maps each has their places before its channels: (T, B, *space, size).
    """

    values: Mapping[str, Tensor]
    before: Mapping[str, Tensor]
    lengths: Tensor | None
    further: Mapping[str, Tensor] = field(default_factory=dict)


class Visitor:
    """Does nothing; a kind of visitor overrides what it needs.

    Attributes:
        position: index of the first step of the call that runs. A call without a state begins at
            its `start`; one that is given a state, at its `start` if that is not 0, else where the
            last call ended.
    """

    position: int = 0

    def rewrite(self, graph: Graph, place: Place) -> Graph:
        """The graph that is to run in a place: the same object whenever the same is asked."""
        return graph

    def finish(self, graph: Graph, place: Place) -> Graph:
        """The graph when all visitors have rewritten it, in a form that is quicker to run.

        Here, not in `rewrite`, an added input becomes the number that it always is: two values that
        are held at the same number would be one to the visitors that follow.
        """
        return graph

    def inputs(self, graph: Graph, place: Place, x: Tensor) -> Mapping[str, Tensor]:
        """The sequences of the inputs that `rewrite` has added, by name.

        Args:
            graph: before the rewrite.
            place: where.
            x: (T, B, I), or (T, B, *space, I), what the place reads; in a stream its shape and
                number format alone mean something, and T is 1.

        Returns:
            each (T, B, size), or (T, B, *space, size), in the order of time; 1 in the place of any
            but the size: the same in all.
        """
        return {}

    def visit(self, graph: Graph, place: Place, visit: Visit) -> None:
        """Called when a place has run; `graph` is the one that ran, without the layer's options.

        Not called by streams, which give out nothing but their output.
        """


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
    for visitor in visitors:
        graph = visitor.finish(graph, place)
    return graph


def added_inputs(
    visitors: tuple[Visitor, ...], graph: Graph, place: Place, x: Tensor
) -> dict[str, Tensor]:
    """What the visitors give to a place beside its own inputs, each (T, B, size)."""
    found: dict[str, Tensor] = {}
    for visitor in visitors:
        for name, value in visitor.inputs(graph, place, x).items():
            found[name] = value.expand(*x.shape[:-1], *value.shape[x.dim() - 1 :])
        graph = visitor.rewrite(graph, place)
    return found


def tell(
    visitors: tuple[Visitor, ...],
    graph: Graph,
    place: Place,
    values: Mapping[str, Tensor],
    before: Sequence[Tensor],
    lengths: Tensor | None,
    further: Mapping[str, Tensor] | None = None,
) -> None:
    """Tell visitors what a place gave out; all but `before`, the states in order, as in `Visit`."""
    if visitors:
        named = dict(zip(graph.state_names, before, strict=True))
        visit = Visit(values, named, lengths, further or {})
        for visitor in visitors:
            visitor.visit(graph, place, visit)


def begin(visitors: tuple[Visitor, ...], anew: bool, start: int) -> None:
    """Tell visitors with which step a call begins; `anew`: it was given no state."""
    for visitor in visitors:
        if anew or start:
            visitor.position = start


def go_on(visitors: tuple[Visitor, ...], steps: int) -> None:
    """Tell visitors that a call of so many steps is over."""
    for visitor in visitors:
        visitor.position += steps

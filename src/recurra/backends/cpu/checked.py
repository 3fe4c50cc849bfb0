"""The shapes that the tensors of a recurrence must have: kernels read what they are told is there.

Layers give the right ones; who calls the operator or an exported program by hand may not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from recurra.backends.cpu.batch import Batch, Ragged
from recurra.backends.cpu.operands import Operands
from recurra.errors import ShapeError
from recurra.graph import Expression

Shape = tuple[int, ...]
Needed = Iterator[tuple[str, Sequence[Shape]]]  # what a tensor is, and the shapes that it may have
_ORDER = "Give tensors in the order of recurra.backends.cpu.operators.recurrence."


def check_ranks(taken: Operands, shapes: Sequence[Shape]) -> None:
    """Refuse too few tensors, and those with another number of dimensions than a graph needs.

    Args:
        taken: which tensors the recurrence takes.
        shapes: of these, perhaps with others behind them.

    Raises:
        ShapeError: there are such tensors.
    """
    graph, cut = taken.split.graph, taken.split
    read = {number: node for node, (number, *_) in zip(cut.forward.reads, taken.reads, strict=True)}
    ranks = [
        rank
        for number, source in enumerate(taken.sources)
        for rank in (2 + _rank(graph.shapes[read[number]]), 2, 1)[: len(source.slots)]
    ]
    ranks += [len(graph.shapes[node]) for node in cut.forward.constants]
    ranks += [2] * len(cut.stacks)
    ranks += [1 + _rank(graph.shape(state)) for state in graph.states]
    if len(shapes) < len(ranks):
        raise ShapeError(f"a recurrence got {len(shapes)} tensors; it needs {len(ranks)}. {_ORDER}")
    for number, (shape, rank) in enumerate(zip(shapes, ranks, strict=False)):
        if len(shape) != rank and (rank or shape != (1,)):
            raise ShapeError(
                f"tensor {number} of a recurrence has the shape {tuple(shape)}; it must "
                f"have {rank} dimensions. {_ORDER}"
            )


def _rank(shape: Sequence[str]) -> int:
    """Dimensions of a value in memory: a scalar has one."""
    return max(len(shape), 1)


def check_sizes(taken: Operands, shapes: Sequence[Shape], batch: Batch) -> None:
    """Refuse tensors that do not fit one another, a graph, its steps and its rows.

    Args:
        taken: which tensors the recurrence takes.
        shapes: of these, perhaps with others behind them; their ranks are right.
        batch: steps and rows.

    Raises:
        ShapeError: there are such tensors, or lengths that do not fall.
    """
    lengths = np.diff(batch.loads)
    if (np.diff(lengths) > 0).any() or (lengths < 0).any():
        raise ShapeError(
            "a recurrence got lengths that rise or are negative; sort rows by length, the longest "
            "first."
        )
    for number, (name, possible) in enumerate(_needed(taken, shapes, batch)):
        if shapes[number] not in possible:
            known = " or ".join(dict.fromkeys(map(str, possible)))
            raise ShapeError(
                f"tensor {number} of a recurrence, {name}, has the shape {tuple(shapes[number])}; "
                f"it must be {known}. {_ORDER}"
            )


def _needed(taken: Operands, shapes: Sequence[Shape], batch: Batch) -> Needed:
    graph = taken.split.graph
    sizes = taken.sizes(shapes)

    def width(node: Expression) -> int:
        return math.prod(sizes[letter] for letter in graph.shapes[node])

    widths = {
        number: members * width(read)
        for read, (number, _, members) in zip(taken.split.forward.reads, taken.reads, strict=True)
    }
    inner_shapes = {
        number: taken.shape_of(read, sizes)
        for read, (number, _, _) in zip(taken.split.forward.reads, taken.reads, strict=True)
        if len(graph.shapes[read]) == 2
    }
    for number, source in enumerate(taken.sources):
        own = widths[number]
        if source.is_product:
            inner = shapes[source.first][-1]
            yield "a sequence", _sequences(batch, inner)
            yield "its weights", [(own, inner)]
            yield from [("its bias", [(own,)])] * (len(source.slots) - 2)
        else:
            yield "a sequence", _sequences(batch, *inner_shapes.get(number, (own,)))
    for node in taken.split.forward.constants:
        yield "a constant", [taken.shape_of(node, sizes)] if graph.shapes[node] else [(), (1,)]
    for _, nodes in taken.split.stacks:
        rows, columns = (sizes[letter] for letter in graph.shapes[nodes[0]])
        yield "stacked matrices", [(len(nodes) * rows, columns)]
    for state in graph.states:
        # Also of one that an edit has made unused.
        yield "a state", [(batch.rows, *taken.shape_of(state, sizes))]


def _sequences(batch: Batch, *size: int) -> list[Shape]:
    """A sequence with all its steps and rows, or one of them for all."""
    steps, rows = batch.extent
    if isinstance(batch, Ragged):
        return [(1, rows, *size), (1, 1, *size)]
    return [(t, b, *size) for t in (steps, 1) for b in (rows, 1)]

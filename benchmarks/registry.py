"""What is timed: cells x shapes x directions of use, the most telling first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from peers import RAGGED, RARE, THREE, WHOLE


class Entry(NamedTuple):
    """One row group of the table: a cell at a shape in a direction of use."""

    cell: str
    shape: str
    use: str


_STEPS = ("step-128", "step-300")


def _product(shapes: Iterable[str], cells: Iterable[str], uses: Iterable[str]) -> Iterator[Entry]:
    cells, uses = tuple(cells), tuple(uses)
    return (Entry(cell, shape, use) for shape in shapes for cell in cells for use in uses)


# A run that is short of time leaves out the last.
FULL = (
    *_product(("text", "forecast"), THREE, WHOLE),
    *_product(_STEPS, THREE, ("step",)),
    *_product(("text", "forecast"), ("lstm", "gru"), RAGGED),
    *_product(("text", "forecast"), RARE, WHOLE),
    *_product(("ptb", "stream-128", "stream-300"), ("lstm", "gru"), WHOLE),
    *_product(("wide",), THREE, WHOLE),
)
QUICK = (
    *_product(("text", "forecast"), THREE, WHOLE),
    *_product(_STEPS, ("lstm",), ("step",)),
    *_product(("text",), ("lstm",), RAGGED),
    *_product(("text",), ("mgu",), WHOLE),
)


def select(
    entries: Iterable[Entry], cells: list[str], shapes: list[str], uses: list[str]
) -> list[Entry]:
    """The entries of the chosen cells, shapes and uses; an empty list chooses all.

    Where all three are chosen, every combination that makes sense is an entry, listed or not.
    """
    if cells and shapes and uses:
        return [e for e in _product(shapes, cells, uses) if sensible(e)]
    return [
        entry
        for entry in entries
        if all(
            not given or own in given
            for own, given in zip(entry, (cells, shapes, uses), strict=True)
        )
    ]


def sensible(entry: Entry) -> bool:
    """Whether the use fits the shape: single steps at their shapes, lengths where B > 1."""
    single = entry.shape in _STEPS
    ragged_stream = entry.use in RAGGED and entry.shape.startswith("stream")
    return single == (entry.use == "step") and not ragged_stream

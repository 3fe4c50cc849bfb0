"""What is timed: cells x shapes x directions of use, the most telling first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Entry(NamedTuple):
    """One row group of the table: a cell at a shape in a direction of use."""

    cell: str
    shape: str
    use: str


_THREE = ("lstm", "gru", "elman")
_RARE = ("lstm_peephole", "mgu", "mut1_biased", "cfn_biased")  # those that torchrecurrent has too
_WHOLE = ("training", "inference")
_RAGGED = ("ragged-training", "ragged-inference")
_STEPS = ("step-128", "step-300")


def _product(shapes: Iterable[str], cells: Iterable[str], uses: Iterable[str]) -> Iterator[Entry]:
    cells, uses = tuple(cells), tuple(uses)
    return (Entry(cell, shape, use) for shape in shapes for cell in cells for use in uses)


# A run that is short of time leaves out the last.
FULL = (
    *_product(("text", "forecast"), _THREE, _WHOLE),
    *_product(_STEPS, _THREE, ("step",)),
    *_product(("text", "forecast"), ("lstm", "gru"), _RAGGED),
    *_product(("text", "forecast"), _RARE, _WHOLE),
    *_product(("ptb", "stream-128", "stream-300"), ("lstm", "gru"), _WHOLE),
    *_product(("wide",), _THREE, _WHOLE),
)
QUICK = (
    *_product(("text", "forecast"), _THREE, _WHOLE),
    *_product(_STEPS, ("lstm",), ("step",)),
    *_product(("text",), ("lstm",), _RAGGED),
    *_product(("text",), ("mgu",), _WHOLE),
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
    ragged_stream = entry.use in _RAGGED and entry.shape.startswith("stream")
    return single == (entry.use == "step") and not ragged_stream

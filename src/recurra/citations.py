"""Citations: the BibTeX entries of a cell, from the bibliography beside the cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from recurra import cells
from recurra.errors import UnknownNameError, UsageError
from recurra.graph import Cell


@dataclass(frozen=True)
class PaperLayer:
    """A layer of recurra.nn that has a paper and is more than its cell over a sequence.

    Attributes:
        cell: whose equations it has.
        year: of publication.
        over: what it runs over.
        cite: keys of its sources, its own paper first.
    """

    cell: str
    year: int
    over: str
    cite: tuple[str, ...]


LAYERS = {
    "ConvLSTM": PaperLayer(
        "lstm_peephole", 2015, "maps of 1 or 2 dimensions", ("shi2015", "gers2002")
    ),
    "ConvGRU": PaperLayer(
        "gru_reset_before", 2016, "maps of 1 or 2 dimensions", ("ballas2016", "cho2014")
    ),
    "GridLSTM": PaperLayer("lstm_grid", 2015, "grids of N dimensions", ("kalchbrenner2015",)),
}


@lru_cache(maxsize=1)
def bibliography() -> Mapping[str, str]:
    """Every entry of the bibliography by its key, as BibTeX."""
    return entries(files(cells).joinpath("references.bib").read_text(encoding="utf-8"))


def entries(text: str) -> dict[str, str]:
    """The entries of a BibTeX file by their keys, in its order.

    Example:
        >>> entries("@book{a1, title = {A {B}}} and @misc{c2, year = 1990}")
        {'a1': '@book{a1, title = {A {B}}}', 'c2': '@misc{c2, year = 1990}'}
    """
    found = {}
    for start in re.finditer(r"@\w+\{\s*([^,\s]+)\s*,", text):
        found[start[1]] = text[start.start() : _end(text, start.end())]
    return found


def _end(text: str, position: int) -> int:
    """Where the brace that is open at this position is closed."""
    depth = 1
    while depth and position < len(text):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        position += 1
    return position


def cite(cell: str | Cell | Callable[..., Any]) -> str:
    """The sources of a cell as BibTeX, the paper of its equations first.

    Args:
        cell: a name (`recurra.cells.names()`), a cell, or a layer of `LAYERS` by its name.

    Raises:
        UnknownNameError: there is no such cell, or no entry under one of its keys.
        UsageError: the cell names no source.

    Example:
        >>> import recurra
        >>> print(recurra.cite("lstm").splitlines()[0])
        @article{gers2000,
    """
    return "\n\n".join(sources(cell).values())


def sources(cell: str | Cell | Callable[..., Any]) -> dict[str, str]:
    """The entries of a cell by their keys; arguments and errors as of `cite`."""
    if isinstance(cell, str) and cell in LAYERS:
        return {key: bibliography()[key] for key in LAYERS[cell].cite}
    cell = cells.get(cell)
    if not cell.cite:
        raise UsageError(
            f'cell {cell.name} names no source; @cell(cite="...") lists keys of references.bib.'
        )
    known = bibliography()
    for key in cell.cite:
        if key not in known:
            raise UnknownNameError(f"citation key of {cell.name}", key, known)
    return {key: known[key] for key in cell.cite}

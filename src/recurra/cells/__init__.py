"""Published cells, one per file: the citation and the equations, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from importlib.resources import files
from pkgutil import iter_modules
from typing import Any

from recurra.errors import UnknownNameError
from recurra.graph import Cell, as_cell


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """The names of all published cells, in alphabetical order."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def get(cell: str | Cell | Callable[..., Any]) -> Cell:
    """A cell by its name; a cell as it is; a plain function traced.

    Raises:
        UnknownNameError: there is no cell of this name; the text says what the cell of this name
            in papers and other libraries is called here, or offers the nearest name.
        CellError: the equations of the function are not legal.
    """
    if isinstance(cell, Cell):
        return cell
    if not isinstance(cell, str):
        return as_cell(cell)
    if cell not in names():
        raise UnknownNameError("cell", cell, names(), elsewhere().get(plain(cell), ""))
    found: Cell = getattr(import_module(f"{__name__}.{cell}"), cell)
    return found


@lru_cache(maxsize=1)
def elsewhere() -> dict[str, str]:
    """What names of papers and other libraries, in their `plain` form, are here."""
    lines = files(__name__).joinpath("other_names.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(" = ") for line in lines if line and not line.startswith("#"))
    return {plain(name): name for name in names()} | {plain(other): ours for other, ours in pairs}


def plain(name: str) -> str:
    """Its letters and digits, in lower case."""
    return "".join(character for character in name.lower() if character.isalnum())

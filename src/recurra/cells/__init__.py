"""Published cells, one per file: the citation and the equations, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from recurra.errors import UnknownNameError
from recurra.graph import Cell, as_cell


def names() -> tuple[str, ...]:
    """The names of all published cells, in alphabetical order."""
    return tuple(sorted(module.name for module in iter_modules(__path__)))


def get(cell: str | Cell | Callable[..., Any]) -> Cell:
    """A cell by its name; a cell as it is; a plain function traced.

    Raises:
        UnknownNameError: there is no cell of this name; the text offers the nearest.
        CellError: the equations of the function are not legal.
    """
    if isinstance(cell, Cell):
        return cell
    if not isinstance(cell, str):
        return as_cell(cell)
    if cell not in names():
        raise UnknownNameError("cell", cell, names())
    found: Cell = getattr(import_module(f"{__name__}.{cell}"), cell)
    return found

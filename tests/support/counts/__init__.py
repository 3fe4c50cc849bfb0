"""The number of weights of each cell by its paper: from I, H and P, and for each unit."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules

Counts = dict[str, tuple[Callable[[int, int, int], int], str]]


@lru_cache(maxsize=1)
def by_cell() -> Counts:
    """All tables of this folder as one."""
    found: Counts = {}
    for module in iter_modules(__path__):
        found |= import_module(f"{__name__}.{module.name}").COUNTS
    return found

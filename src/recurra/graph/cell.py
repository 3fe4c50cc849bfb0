"""A cell: a traced graph with its year, its wishes for initial values and its fixed weights."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from recurra.errors import CellError, UnknownNameError
from recurra.graph.graph import Graph
from recurra.graph.trace import place, trace

Fixed = Callable[..., float]


@dataclass(frozen=True, eq=False)
class Cell:
    """A recurrent cell.

    Attributes:
        name: the name of the function that holds the equations.
        graph: one step.
        year: of publication, None for one's own.
        title: first sentence of the citation.
        citation: where the equations stand.
        init: wishes for initial values by weight name, with wildcards: a number, or the name of an
            initialiser.
        fixed: for each fixed weight, the function of its indices that computes it.
        purpose: what it is good for, in one line.
        cite: keys of its sources in the bibliography, the paper of the equations first.
    """

    name: str
    graph: Graph
    year: int | None = None
    title: str = ""
    citation: str = ""
    init: Mapping[str, float | str] = field(default_factory=dict)
    fixed: Mapping[str, Fixed] = field(default_factory=dict)
    purpose: str = ""
    cite: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<cell {self.name}{f' {self.year}' if self.year else ''}>"


def cell(
    *,
    state: str,
    year: int | None = None,
    output: str | None = None,
    init: Mapping[str, float | str] | None = None,
    shapes: Mapping[str, str] | None = None,
    fixed: Mapping[str, Fixed] | None = None,
    purpose: str = "",
    cite: str = "",
) -> Callable[[Callable[..., Any]], Cell]:
    """Make a cell from a function that holds its equations.

    Args:
        state: names of the states, as in "h, c", in the order in which the function returns them.
        year: of publication.
        output: the local which the layer gives out; the first state if not stated.
        init: wishes for initial values, such as {"b_f": 1.0, "U_*": "orthogonal"}.
        shapes: sizes that do not follow from use, such as {"h": "P"} or {"alpha": ""}.
        fixed: weights that are not trained, each as a function of (unit) or (row, column), and of a
            mapping of sizes: {"M": lambda row, column, sizes: float(row >= column)}.
        purpose: what the cell is good for, in one line.
        cite: keys of its sources in the bibliography, as in "gers2000, hochreiter1997".

    Raises:
        CellError: the equations are not legal; the text names the line.

    Example:
        >>> from recurra.graph import cell, tanh
        >>> @cell(state="h")
        ... def elman(p, x, h):
        ...     h = tanh(p.W_h @ x + p.U_h @ h + p.b_h)
        ...     return h
        >>> elman.graph.state_names
        ('h',)
    """
    names, keys = _listed(state), _listed(cite)

    def decorate(function: Callable[..., Any]) -> Cell:
        graph = trace(function, names, output, shapes, fixed or ())
        _check_names(function, graph, init or {}, fixed or {})
        citation = _citation(function)
        return Cell(
            name=function.__name__,
            graph=graph,
            year=year,
            title=citation.split(". ")[0].rstrip("."),
            citation=citation,
            init=dict(init or {}),
            fixed=dict(fixed or {}),
            purpose=purpose,
            cite=keys,
        )

    return decorate


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def as_cell(function: Callable[..., Any]) -> Cell:
    """A plain function as a cell: its arguments after p and x are its states.

    But t is the time, and an argument such as c_below the value c of the layer below.
    """
    if not inspect.isfunction(function):
        raise CellError(
            f"a {type(function).__name__} is no cell: give a name, a cell, or a function such as "
            "def cell(p, x, h)."
        )
    names = tuple(inspect.signature(function).parameters)[2:]
    states = ", ".join(name for name in names if name != "t" and not name.endswith("_below"))
    return cell(state=states)(function)


def _check_names(
    function: Callable[..., Any],
    graph: Graph,
    init: Mapping[str, float | str],
    fixed: Mapping[str, Fixed],
) -> None:
    """Refuse a wish or a fixed weight that no equation reads."""
    trained = [str(parameter.attribute) for parameter in graph.parameters]
    read = [str(leaf.attribute) for leaf, _ in graph.leaf_shapes if leaf.op == "fixed"]
    unknown = [
        UnknownNameError("weight in init", pattern, trained)
        for pattern in init
        if not any(fnmatchcase(name, pattern) for name in trained)
    ]
    unknown += [
        UnknownNameError("weight in fixed", name, [*read, *trained])
        for name in fixed
        if name not in read
    ]
    if unknown:
        raise CellError(f"{place(function.__code__)}: {unknown[0]}")


def _citation(function: Callable[..., Any]) -> str:
    """The docstring of the function, or of the file that is named after it, on one line."""
    home = function.__module__ or ""  # None for code that was compiled from a string
    own_file = home.rpartition(".")[2] == function.__name__
    module = sys.modules.get(home) if own_file else None
    return " ".join((function.__doc__ or (module.__doc__ if module else "") or "").split())

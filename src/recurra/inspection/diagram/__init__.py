"""The cell drawn, from its graph alone: an SVG text, and the same as data.

The drawing has the form that Olah 2015, Understanding LSTM Networks, made familiar: states on rails
through the cell, gates as boxes, pointwise operations as round nodes, lines that fork and join.

What a page may rely on to put numbers and colours on it:

- `<svg class="recurra-cell" data-cell="lstm">` holds one `<g data-step="0">` for each step; steps
  before and after t have -1, 1, ...
- Every node is a `<g class="node" data-node="KEY" data-kind="KIND">`, KEY once in a step, with
  `data-value="f"` where its value has a name in the equations. Kinds: `gate` (weights act in it),
  `function` (of one value), `product`, `sum`, `operator` (÷, max, where, ...), `join` (lines that
  go on as one; it shows nothing), `input`, `output`, and `state` with `data-time="before"` (t-1, on
  the left) or `"after"` (t, on the right).
- KEY is the name of the value (`f`), or `input:x`, `before:c`, `after:c`, `output:h`; values
  without a name have `product:1`, `function:2`, `join:1`, ... A state's new value is both a node
  `c` where it is computed and `after:c` where it leaves, unless it is another value as it was.
- Every line is a `<g class="edge" data-from="KEY" data-to="KEY">`; it carries the value of
  `data-from`, a join the values of its own lines. `rail` in its class: on the way of a state.
- Colours are custom properties of the `svg` element (`--gate`, `--ink`, ...; see style.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra import cells
from recurra.errors import UnknownNameError, UsageError
from recurra.graph import Cell, Graph
from recurra.inspection.diagram.data import facts
from recurra.inspection.diagram.layout import Layout, lay_out
from recurra.inspection.diagram.reduction import reduce
from recurra.inspection.diagram.style import THEMES
from recurra.inspection.diagram.svg import svg_text

__all__ = ["INTERIORS", "MOST_STEPS", "draw", "facts", "place"]

INTERIORS = ("all", "middle")
MOST_STEPS = 99

Drawable = str | Cell | Graph | Callable[..., Any]


def place(cell: Drawable) -> Layout:
    """The diagram of a cell with the places of its nodes and lines; `facts` makes JSON of it.

    Raises:
        UnknownNameError: there is no cell of this name.
        CellError: the equations of a function are not legal.
    """
    return lay_out(reduce(cell if isinstance(cell, Graph) else cells.get(cell).graph))


def draw(cell: Drawable, unroll: int = 1, *, interiors: str = "all", theme: str = "auto") -> str:
    """A cell as the text of an SVG file that fetches nothing.

    Args:
        cell: a name, a cell, a function of equations, or a graph.
        unroll: how many steps stand side by side; t is the middle one.
        interiors: "all", or "middle" for the inside of the step at t only.
        theme: "light", "dark", or "auto" for what the reader's screen prefers.

    Raises:
        UnknownNameError: there is no such cell, theme or choice of interiors.
        UsageError: `unroll` is no whole number from 1 to 99.
        CellError: the equations of a function are not legal.

    Example:
        >>> from recurra.inspection import draw
        >>> draw("lstm", unroll=3).startswith("<svg ")
        True
    """
    if not isinstance(unroll, int) or not 1 <= unroll <= MOST_STEPS:
        raise UsageError(f"{unroll!r} steps cannot be drawn side by side; give 1 to {MOST_STEPS}.")
    if interiors not in INTERIORS:
        raise UnknownNameError("choice of interiors", interiors, INTERIORS)
    if theme not in THEMES:
        raise UnknownNameError("theme", theme, THEMES)
    return svg_text(place(cell), unroll, interiors, theme)

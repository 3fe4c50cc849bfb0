"""Changes of named values as a rewrite of the graph: held, scaled, added to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from recurra.graph import Expression, Graph, constant, outer, where
from recurra.graph.shapes import Shape
from recurra.inspection.values import BEFORE, observable

_CHANGE = re.compile(r"edit\d+_value$")  # the name of an input that a change has added


class Change(NamedTuple):
    """What happens to one value of a graph.

    Attributes:
        name: of the value.
        kind: "hold", "scale" or "add".
        number: what it is held at, times or plus; None: the input `value_name` says it.
        wide: whether that is one number for all units.
        chosen: "" if all units change in all steps; "steps" if in some steps, "units" if some units
            do: where the input `where_name` is 1.
        tag: what tells the inputs of this change from those of others.
    """

    name: str
    kind: str
    number: float | None
    wide: bool
    chosen: str
    tag: int

    @property
    def value(self) -> Expression:
        """The input that brings, or stands for, the number."""
        return Expression("input", (), self.value_name)

    @property
    def value_name(self) -> str:
        """Its name."""
        return f"edit{self.tag}_value"

    @property
    def where_name(self) -> str:
        """The input that says where."""
        return f"edit{self.tag}_where"


def free_tag(graph: Graph) -> int:
    """The first tag that no change of a graph has, nor any input of its cell."""
    taken = {str(leaf.attribute).partition("_")[0] for leaf, _ in graph.leaf_shapes}
    return next(tag for tag in range(len(taken) + 1) if f"edit{tag}" not in taken)


@lru_cache(maxsize=512)
def changed(graph: Graph, changes: tuple[Change, ...]) -> Graph:
    """The graph with these values changed everywhere, one after another.

    A value stands changed in every equation and under its name, so one that follows is computed
    from it. The value before an activation keeps its name where the activation goes. Two names of
    the very same value change together.
    """
    for change in changes:
        graph = _changed(graph, change)
    return graph


@lru_cache(maxsize=512)
def settled(graph: Graph, changes: tuple[Change, ...]) -> Graph:
    """The changed graph with numbers in the place of the inputs that stand for them."""
    leaves = {leaf: shape for leaf, shape in graph.leaf_shapes if leaf.op == "input"}
    numbers = {change.value: change.number for change in changes if change.number is not None}
    known = {leaf: _as_large(constant(n), leaves[leaf]) for leaf, n in numbers.items()}
    return replace(
        graph.rewritten(known),
        inputs=tuple(leaf for leaf in graph.inputs if leaf not in known),
        leaf_shapes=tuple(pair for pair in graph.leaf_shapes if pair[0] not in known),
    )


def _changed(graph: Graph, change: Change) -> Graph:
    values = observable(graph)
    node = values[change.name]
    shape = graph.shapes[node]
    whole = change.kind == "hold" and not change.chosen and change.number is not None
    value = change.value
    leaves: dict[Expression, Shape] = {value: () if change.wide and not whole else shape}
    new = {"hold": value, "scale": node * value, "add": node + value}[change.kind]
    if change.chosen:
        chosen = Expression("input", (), change.where_name)
        leaves[chosen] = shape if change.chosen == "units" else ()
        new = where(chosen, new, node)
    elif new is value:
        new = _as_large(value, shape if not leaves[value] else ())
    kept = {name: values[name] for name in (change.name + BEFORE,) if name in values}
    return _named(_exchanged(graph, change.name, node, new, leaves), kept | {change.name: new})


def _as_large(value: Expression, shape: Shape) -> Expression:
    """A number for each unit of a shape."""
    if not shape:
        return value
    column = Expression("spread", (value,), shape[0])
    if len(shape) == 1:
        return column
    return outer(column, Expression("spread", (constant(1),), shape[1]))


def _exchanged(
    graph: Graph, name: str, node: Expression, new: Expression, leaves: Mapping[Expression, Shape]
) -> Graph:
    """The graph with another value under a name, and everywhere it is read."""
    if node.args or _CHANGE.match(str(node.attribute)):
        return graph.rewritten({node: new}, leaves)
    # A state that takes over what is there before the step: only what is carried on changes.
    names = ((*graph.state_names, None, *(own for own, _ in graph.named)), graph.roots)
    roots = tuple(new if own == name else root for own, root in zip(*names, strict=True))
    return graph.with_roots(roots, leaves)


def _named(graph: Graph, values: Mapping[str, Expression]) -> Graph:
    """The graph that names these values too."""
    known = dict(graph.named)
    more = tuple((name, value) for name, value in values.items() if name not in known)
    return replace(graph, named=(*graph.named, *more)) if more else graph

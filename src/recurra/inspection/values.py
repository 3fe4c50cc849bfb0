"""The values of a graph that can be seen: what its equations name, before and after activations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from recurra.graph import Expression, Graph
from recurra.graph.expression import walk
from recurra.graph.facts import Variation, variation
from recurra.graph.rewrite import with_shown

ACTIVATIONS = ("sigmoid", "tanh", "relu", "softplus", "exp")
BEFORE = "_pre"  # f_pre is the f of the equations before its activation


@lru_cache(maxsize=512)
def observable(graph: Graph) -> Mapping[str, Expression]:
    """Each value by its name, in the order of the equations; `f_pre` stands before `f`.

    What follows from weights alone is no value of a step.
    """
    found: dict[str, Expression] = {}
    named, varies = dict(graph.named), variation(walk(graph.roots))
    for name, value in graph.named:
        if varies[value] is Variation.CONSTANT:
            continue
        before = _before_activation(value)
        if before is not None and name + BEFORE not in named:
            found[name + BEFORE] = before
        found[name] = value
    return found


def _before_activation(value: Expression) -> Expression | None:
    """The operand of an activation; None if the value is none, or its operand is a leaf."""
    if value.op in ACTIVATIONS and value.args[0].args:
        return value.args[0]
    return None


@lru_cache(maxsize=512)
def showing(graph: Graph, names: tuple[str, ...]) -> Graph:
    """The graph that gives out these values too, and what it gave out before."""
    named, values = dict(graph.named), observable(graph)
    new = tuple((name, values[name]) for name in names if name not in named)
    return with_shown(replace(graph, named=(*graph.named, *new)), (*graph.shown, *names))

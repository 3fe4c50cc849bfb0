"""Rewrites: options of a layer as changes of the graph, so that every backend has them.

Masks are leaves, drawn and given by the layer: the graph says only where they act.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from recurra.graph.expression import Expression, constant, rebuild, walk, with_args
from recurra.graph.facts import Variation, biases, variation
from recurra.graph.functions import where
from recurra.graph.graph import Graph
from recurra.graph.shapes import Shape
from recurra.graph.simplify import simplify


def is_layers_own(leaf: Expression) -> bool:
    """Whether a leaf is a mark or mask of a layer: no cell may use its name for an input."""
    name = str(leaf.attribute)
    if leaf.op == "given":
        return name.startswith("dropout_")
    return leaf.op == "input" and (name in ("alive", "reset", "t") or name.startswith("zoneout_"))


@lru_cache(maxsize=512)
def with_shown(graph: Graph, names: tuple[str, ...]) -> Graph:
    """The graph that gives out these values beside its output; one object for equal calls."""
    return replace(graph, shown=tuple(dict.fromkeys(names)))


def without_biases(graph: Graph) -> Graph:
    """The graph with every vector that is only added set to 0 (`bias=False` of a layer)."""
    return simplify(graph.rewritten(dict.fromkeys(biases(graph), constant(0))))


def with_recurrent_dropout(graph: Graph) -> Graph:
    """Each operand of a recurrent product times a mask that stays the same over the sequence.

    One mask for each size of operand: the given leaf `dropout_H` (and `dropout_P`, ...), of shape
    (B, H). Gal & Ghahramani 2016, arXiv:1512.05287 (the mask is shared by the gates).
    """
    varies = variation(walk(graph.roots))
    masks: dict[Expression, Shape] = {}

    def masked(node: Expression, args: tuple[Expression, ...]) -> Expression:
        if node.op != "matmul" or varies[node.args[1]] is not Variation.STEP:
            return with_args(node, args)
        (size,) = graph.shapes[node.args[1]]
        mask = Expression("given", (), f"dropout_{size}")
        masks[mask] = (size,)
        return args[0] @ (args[1] * mask)

    return graph.with_roots(rebuild(graph.roots, masked), masks)


def with_zoneout(graph: Graph, states: Iterable[str]) -> Graph:
    """Each of these states keeps its old value to the share z: z * before + (1 - z) * after.

    z is the input `zoneout_<state>` (T, B, H): 0 or 1 in training, its probability in evaluation.
    Krueger et al. 2017, arXiv:1606.01305.
    """
    masks = {name: Expression("input", (), f"zoneout_{name}") for name in states}
    shapes = {masks[s.attribute]: graph.shape(s) for s in graph.states if s.attribute in masks}

    def kept(state: Expression, update: Expression) -> Expression:
        z = masks.get(state.attribute)
        return update if z is None else z * state + (1 - z) * update

    return _with_updates(graph, kept, shapes)


def with_reset(graph: Graph) -> Graph:
    """Each state restarts from the given `initial_<state>`, where the input `reset` (T, B) is 1."""
    flag = Expression("input", (), "reset")
    leaves: dict[Expression, Shape] = {flag: ()}
    replacement = {}
    for state in graph.states:
        start = Expression("given", (), f"initial_{state.attribute}")
        leaves[start] = graph.shape(state)
        replacement[state] = where(flag, start, state)
    return graph.rewritten(replacement, leaves)


def with_lengths(graph: Graph) -> Graph:
    """Rows that have ended (the input `alive` (T, B) is 0) keep their states and give out 0."""
    alive = Expression("input", (), "alive")
    kept = _with_updates(graph, lambda state, new: where(alive, new, state), {alive: ()})
    named = (value for _, value in kept.named)
    return kept.with_roots((*kept.updates, where(alive, graph.output, 0), *named), {})


def _with_updates(
    graph: Graph,
    change: Callable[[Expression, Expression], Expression],
    leaves: Mapping[Expression, Shape],
) -> Graph:
    """The graph with other values of its states after the step; their names move along."""
    updates = tuple(map(change, graph.states, graph.updates))
    after = dict(zip(graph.state_names, updates, strict=True))
    named = tuple(after.get(name, value) for name, value in graph.named)
    # Two states may get the same value; the first of them is then the output.
    output = dict(zip(reversed(graph.updates), reversed(updates), strict=True)).get(
        graph.output, graph.output
    )
    return graph.with_roots((*updates, output, *named), leaves)

"""Which graphs are legal: a table of rules; the first offender is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from recurra.graph.expression import Expression
from recurra.graph.facts import below
from recurra.graph.graph import Graph
from recurra.graph.rewrite import is_layers_own
from recurra.graph.shapes import Shape, plain_complaint

Offence = tuple[Expression, str]


def check(graph: Graph, complain: Callable[[Expression, str], NoReturn] = plain_complaint) -> None:
    """Refuse an illegal graph with the first rule that it breaks.

    Raises:
        CellError: names the line of the cell, the expression and the rule.
    """
    for rule in RULES:
        for node, message in rule(graph):
            complain(node, message)


def check_states(
    stated: Mapping[Expression, Shape],
    complain: Callable[[Expression, str], NoReturn] = plain_complaint,
) -> None:
    """Refuse the stated shape of a state, before its use is judged by a shape that it cannot have.

    A vector has a fused form; a scalar () or a matrix ("H", "P") runs on the reference backend.

    Raises:
        CellError: names the state, and what to do.
    """
    for leaf, shape in stated.items():
        if leaf.op == "state" and len(shape) > 2:
            complain(
                leaf,
                f"state {leaf.attribute} is stated to have {len(shape)} sizes; a state has one, or "
                f'two for a matrix: @cell(..., shapes={{"{leaf.attribute}": "H P"}}).',
            )
        if leaf.op == "state" and "I" in shape:
            complain(
                leaf,
                f"state {leaf.attribute} has the size I of the input, which differs from layer to "
                "layer. Put a matrix between, or state another size: "
                f'@cell(..., shapes={{"{leaf.attribute}": "P"}}).',
            )


def _updates_keep_shape(graph: Graph) -> Iterator[Offence]:
    for state, update in zip(graph.states, graph.updates, strict=True):
        if graph.shapes[update] != graph.shape(state):
            yield (
                update,
                f"state {state.attribute} has the shape {graph.shape(state)} before the step and "
                f"{graph.shapes[update]} after it. Put a matrix between, or state the sizes: "
                '@cell(..., shapes={"x": "H"}).',
            )


def _states_move(graph: Graph) -> Iterator[Offence]:
    for state, update in zip(graph.states, graph.updates, strict=True):
        if update is state:
            yield state, f"state {state.attribute} is returned as it came; drop it or update it."


def _states_are_read(graph: Graph) -> Iterator[Offence]:
    read = set(graph.nodes)
    for state in graph.states:
        if state not in read:
            yield (
                state,
                f"state {state.attribute} is never read, so it is no state; give it as an output.",
            )


def _output_is_a_vector(graph: Graph) -> Iterator[Offence]:
    if len(graph.shapes[graph.output]) != 1:
        yield graph.output, "the output of a cell must have one value per unit."
    elif graph.shapes[graph.output] == ("I",):
        yield (
            graph.output,
            "the output has the size I of the input; it must have a size of the cell, such as H, "
            "which the layer above can count on. Put a matrix between.",
        )


def _something_is_trained(graph: Graph) -> Iterator[Offence]:
    if not graph.parameters:
        yield graph.output, "the cell has no weight (p.<name>), so there is nothing to train."


def _weights_are_used(graph: Graph) -> Iterator[Offence]:
    used = set(graph.nodes)
    for parameter in graph.parameters:
        if parameter not in used:
            yield (
                parameter,
                f"the weight {parameter.attribute} is read but no result depends on it.",
            )


def _one_name_one_thing(graph: Graph) -> Iterator[Offence]:
    values = {name for name, _ in graph.named} | {str(leaf.attribute) for leaf in graph.inputs}
    for leaf, _ in graph.leaf_shapes:
        if leaf.op in ("parameter", "fixed") and leaf.attribute in values:
            yield leaf, f"{leaf.attribute} is a weight and also a value of the step; rename one."


def _inputs_are_not_marks(graph: Graph) -> Iterator[Offence]:
    for leaf in graph.inputs:
        if leaf.attribute != "t" and is_layers_own(leaf):
            yield (
                leaf,
                f"layers give {leaf.attribute} themselves; choose another name for the input.",
            )


def _below_is_a_value(graph: Graph) -> Iterator[Offence]:
    values = dict(graph.named)
    for leaf, name in below(graph).items():
        if name not in values:
            yield (
                leaf,
                f"{leaf.attribute} is the value {name} of the layer below, and the cell has no "
                f"{name}; bind it, or choose another name for the input.",
            )
        elif graph.shapes[values[name]] != graph.shape(leaf):
            yield (
                leaf,
                f"{leaf.attribute} has the shape {graph.shape(leaf)}, and {name} has "
                f"{graph.shapes[values[name]]}; a layer hands {name} to the one above as it is.",
            )


def _x_is_read(graph: Graph) -> Iterator[Offence]:
    x = next((leaf for leaf in graph.inputs if leaf.attribute == "x"), None)
    if x is None:
        yield (
            graph.output,
            "the cell has no input x: give it one, as in def cell(p, x, h), and read it.",
        )
    elif x not in set(graph.nodes):
        yield x, "no result depends on the input x; read it, as in p.W_h @ x."


RULES: tuple[Callable[[Graph], Iterator[Offence]], ...] = (
    _updates_keep_shape,
    _states_move,
    _states_are_read,
    _output_is_a_vector,
    _something_is_trained,
    _weights_are_used,
    _one_name_one_thing,
    _inputs_are_not_marks,
    _below_is_a_value,
    _x_is_read,
)

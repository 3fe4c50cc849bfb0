"""Differentiation: a gradient rule for every operation, and the backward graph of a step.

A rule gets a node and the gradient of the loss for it, and returns the gradients for its operands
(None where there is none). The backward graph is written in the same operations as the forward one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from recurra.graph.expression import Expression, constant, walk
from recurra.graph.facts import Variation, variation
from recurra.graph.functions import sigmoid, sum, transpose, where
from recurra.graph.graph import Graph
from recurra.graph.operations import LEAVES
from recurra.graph.shapes import Shape, shape_of

Gradients = tuple[Expression | None, ...]
Rule = Callable[[Expression, Expression, Shape], Gradients]


def _share(a: Expression, b: Expression) -> Expression:
    """1 where a > b, 0 where a < b, and one half where they are equal."""
    return (1 + (a > b) - (b > a)) * 0.5


def _unary(slope: Callable[[Expression, Expression], Expression]) -> Rule:
    """The rule of a function of one operand a with the value y, from its slope dy/da."""
    return lambda y, g, shape: (g * slope(y.args[0], y),)


def _largest(y: Expression, g: Expression, shape: Shape) -> Gradients:
    reaches = 1 - (y > y.args[0])
    return (g * reaches / sum(reaches),)


def _ones(size: str) -> Expression:
    return Expression("spread", (constant(1),), size)


RULES: dict[str, Rule] = {
    "add": lambda y, g, shape: (g, g),
    "subtract": lambda y, g, shape: (g, -g),
    "multiply": lambda y, g, shape: (g * y.args[1], g * y.args[0]),
    "divide": lambda y, g, shape: (g / y.args[1], -(g * y / y.args[1])),
    "maximum": lambda y, g, shape: (g * _share(*y.args), g * _share(y.args[1], y.args[0])),
    "minimum": lambda y, g, shape: (g * _share(y.args[1], y.args[0]), g * _share(*y.args)),
    "greater": lambda y, g, shape: (None, None),
    "where": lambda y, g, shape: (None, where(y.args[0], g, 0), where(y.args[0], 0, g)),
    "negate": lambda y, g, shape: (-g,),
    "exp": _unary(lambda a, y: y),
    "log": lambda y, g, shape: (g / y.args[0],),
    "sqrt": lambda y, g, shape: (g * 0.5 / y,),
    "tanh": _unary(lambda a, y: 1 - y * y),
    "sigmoid": _unary(lambda a, y: y * (1 - y)),
    "relu": _unary(lambda a, y: y > 0),
    "softplus": _unary(lambda a, y: sigmoid(a)),
    "floor": lambda y, g, shape: (None,),
    "sum": lambda y, g, shape: (Expression("spread", (g,), shape[0]),),
    "mean": lambda y, g, shape: (Expression("spread", (g / sum(_ones(shape[0])),), shape[0]),),
    "max": _largest,
    "spread": lambda y, g, shape: (sum(g),),
    "matmul": lambda y, g, shape: (
        Expression("outer", (g, y.args[1])),
        transpose(y.args[0]) @ g,
    ),
    "transpose": lambda y, g, shape: (transpose(g),),
    "outer": lambda y, g, shape: (g @ y.args[1], transpose(g) @ y.args[0]),
} | {leaf: (lambda y, g, shape: ()) for leaf in LEAVES}


@dataclass(frozen=True)
class Backward:
    """The backward graph of one step.

    Attributes:
        carried: for each state, the leaf that brings the gradient of its value after the step.
        output: the leaf that brings the gradient of the output.
        states: for each state, the gradient of its value before the step.
        sequences: for each input and given leaf that has one, its gradient.
        summed: for each value that is the same in every step (a weight, or what is computed from
            weights alone), what this row and step add to its gradient.
        totals: for each key of `summed`, the leaf that brings its sum over all rows and steps.
        weights: for each trained weight, its gradient, written in the leaves of `totals`.
        shapes: of every node above.
    """

    carried: tuple[Expression, ...]
    output: Expression
    states: tuple[Expression, ...]
    sequences: Mapping[Expression, Expression]
    summed: Mapping[Expression, Expression]
    totals: Mapping[Expression, Expression]
    weights: Mapping[Expression, Expression]
    shapes: Mapping[Expression, Shape]


def differentiate(graph: Graph) -> Backward:
    """The backward graph of a step: gradients for states, inputs and weights."""
    varies = variation(graph.nodes)
    moving = [node for node in graph.nodes if varies[node] is not Variation.CONSTANT]
    border = dict.fromkeys(
        value
        for value in (*(arg for node in moving for arg in node.args), *graph.updates, graph.output)
        if varies[value] is Variation.CONSTANT and _trained(value)
    )
    carried = tuple(Expression("state", (), f"d_{s.attribute}") for s in graph.states)
    output = Expression("input", (), "d_output")
    totals = {node: Expression("fixed", (), f"d_total_{k}") for k, node in enumerate(border)}
    shapes = dict(graph.shapes)
    shapes |= {d: graph.shape(s) for d, s in zip(carried, graph.states, strict=True)}
    shapes |= {output: shapes[graph.output]} | {d: shapes[node] for node, d in totals.items()}

    seeds: dict[Expression, Expression] = {}
    for value, d in [*zip(graph.updates, carried, strict=True), (graph.output, output)]:
        seeds[value] = seeds[value] + d if value in seeds else d
    step = adjoints(moving, seeds, shapes)
    constants = [node for node in walk(border) if varies[node] is Variation.CONSTANT]
    summed = {node: step[node] for node in border if node in step}
    weights = adjoints(constants, {node: totals[node] for node in summed}, shapes)
    return Backward(
        carried=carried,
        output=output,
        states=tuple(step.get(s, constant(0)) for s in graph.states),
        sequences={
            leaf: step[leaf] for leaf in moving if leaf.op in ("input", "given") and leaf in step
        },
        summed=summed,
        totals={node: totals[node] for node in summed},
        weights={p: weights[p] for p in graph.parameters if p in weights},
        shapes=shapes,
    )


def _trained(node: Expression) -> bool:
    return any(leaf.op == "parameter" for leaf in walk((node,)))


def adjoints(
    nodes: Iterable[Expression],
    seeds: Mapping[Expression, Expression],
    shapes: dict[Expression, Shape],
    left_out: Iterable[Expression] = (),
) -> dict[Expression, Expression]:
    """The gradient for every node and operand, by the chain rule from the `seeds` down.

    `nodes` come operands first; `shapes` learns the shapes of the new nodes. Matrices of `left_out`
    get none from their products.
    """
    left_out = frozenset(left_out)
    gradients = dict(seeds)
    for node in reversed(list(nodes)):
        if node not in gradients or not node.args:
            continue
        rule = RULES[node.op](node, gradients[node], shapes[node.args[0]])
        for arg, gradient in zip(node.args, rule, strict=True):
            if node.op == "matmul" and arg in left_out:
                continue
            if gradient is not None and arg.op != "constant":
                fitted = _fit(gradient, shapes[arg], shapes)
                gradients[arg] = gradients[arg] + fitted if arg in gradients else fitted
    for gradient in gradients.values():
        _learn(gradient, shapes)
    return gradients


def _fit(gradient: Expression, shape: Shape, shapes: dict[Expression, Shape]) -> Expression:
    """Undo the spreading of a scalar over the units: its gradient is the sum over them."""
    given = _learn(gradient, shapes)
    if len(given) == 2 and not shape:
        return sum(gradient @ _ones(given[1]))
    if given and not shape:
        return sum(gradient)
    return Expression("spread", (gradient,), shape[0]) if shape and not given else gradient


def _learn(node: Expression, shapes: dict[Expression, Shape]) -> Shape:
    if node not in shapes:
        shapes.update(shape_of((node,), shapes))
    return shapes[node]

"""A graph over time, node by node in NumPy float64: plain, without the library's tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from recurra.graph import Expression, Graph
from recurra.graph.expression import walk
from recurra.graph.operations import ELEMENTWISE
from recurra.graph.shapes import Shape
from support.samples import Sample

Values = dict[Expression, Any]

MEANING: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "greater": lambda a, b: np.greater(a, b) * 1.0,
    "where": lambda condition, a, b: np.where(np.not_equal(condition, 0), a, b),
    "negate": lambda a: -a,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "relu": lambda a: np.maximum(a, 0),
    "softplus": lambda a: np.logaddexp(a, 0),
    "floor": np.floor,
    "sum": lambda a: a.sum(-1, keepdims=True),
    "mean": lambda a: a.mean(-1, keepdims=True),
    "max": lambda a: a.max(-1, keepdims=True),
    "matmul": lambda matrix, value: np.einsum("...rc,...c->...r", matrix, value),
    "transpose": lambda matrix: np.swapaxes(matrix, -1, -2),
    "outer": lambda a, b: a[..., :, None] * b[..., None, :],
}


def evaluate(graph: Graph, known: Mapping[Expression, Any], sample: Sample) -> Values:
    """The value of every node of a step: a value of the step is (B, size), a weight has no B."""
    values: Values = dict(known)
    shapes = graph.shapes
    for node in walk(graph.roots):
        if node in values:
            continue
        args = [values[arg] for arg in node.args]
        if node.op in ELEMENTWISE and len(shapes[node]) == 2:  # a scalar (B, 1) as (B, 1, 1)
            args = [
                value if shapes[arg] else value[..., None]
                for arg, value in zip(node.args, args, strict=True)
            ]
        if node.op == "constant":
            values[node] = np.full(1, node.attribute)
        elif node.op == "spread":
            values[node] = np.repeat(args[0], sample.sizes[node.attribute], axis=-1)
        else:
            values[node] = MEANING[node.op](*args)
    return values


def run(graph: Graph, sample: Sample) -> tuple[np.ndarray, list[np.ndarray], list[Values]]:
    """Outputs (T, B, size), the last states (B, size), and all values of every step."""
    leaves = {leaf: value.detach().numpy() for leaf, value in sample.leaves.items()}
    states = [leaves[state] for state in graph.states]
    outputs, history = [], []
    for t in range(sample.steps):
        known = {leaf: v[t] if leaf.op == "input" else v for leaf, v in leaves.items()}
        known |= dict(zip(graph.states, states, strict=True))
        values = evaluate(graph, known, sample)
        history.append(values)
        states = [_rows(values[update], sample, graph.shapes[update]) for update in graph.updates]
        outputs.append(_rows(values[graph.output], sample, graph.shapes[graph.output]))
    return np.stack(outputs), states, history


def _rows(value: np.ndarray, sample: Sample, shape: Shape) -> np.ndarray:
    return np.broadcast_to(value, (sample.rows, *value.shape[-max(len(shape), 1) :]))

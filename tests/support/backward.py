"""The backward graph of a cell, run over time in PyTorch: what a fused kernel will do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from recurra.backends.rules import RULES
from recurra.graph import Expression, Graph
from recurra.graph.expression import walk
from recurra.graph.gradients import differentiate
from recurra.graph.operations import ELEMENTWISE
from recurra.graph.shapes import Shape
from support.samples import Sample

Values = dict[Expression, Tensor]


def evaluate(
    roots: Iterable[Expression],
    known: Mapping[Expression, Tensor],
    sizes: Mapping[str, int],
    shapes: Mapping[Expression, Shape],
) -> Values:
    """The value of every node under `roots`, by the table of the PyTorch backend."""
    values = dict(known)
    for node in walk(roots):
        if node in values:
            continue
        if node.op == "constant":
            values[node] = torch.full((1,), node.attribute, dtype=torch.float64)
            continue
        args: list[Tensor | int] = [values[arg] for arg in node.args]
        if node.op in ELEMENTWISE and len(shapes[node]) == 2:  # a scalar (B, 1) as (B, 1, 1)
            args = [values[a] if shapes[a] else values[a].unsqueeze(-1) for a in node.args]
        if node.op == "spread":
            args.append(sizes[node.attribute])
        values[node] = RULES[node.op](*args)
    return values


def gradients(
    graph: Graph, sample: Sample, d_output: Tensor, d_states: Iterable[Tensor]
) -> dict[str, Tensor]:
    """The gradients by leaf name, shaped as the sample, from those of outputs and last states.

    Args:
        graph: one step.
        sample: values of the leaves.
        d_output: (T, B, size).
        d_states: for each state, (B, size).
    """
    backward = differentiate(graph)
    steps = _forward(graph, sample)
    total = {leaf.attribute: torch.zeros_like(value) for leaf, value in sample.leaves.items()}
    sums = {key: torch.zeros(()).double() for key in backward.summed}
    carried = list(d_states)
    for t in reversed(range(sample.steps)):
        known = steps[t] | dict(zip(backward.carried, carried, strict=True))
        known[backward.output] = d_output[t]
        roots = (*backward.states, *backward.sequences.values(), *backward.summed.values())
        values = evaluate(roots, known, sample.sizes, backward.shapes)
        carried = [
            values[d].expand_as(old) for d, old in zip(backward.states, carried, strict=True)
        ]
        for leaf, d in backward.sequences.items():
            here = total[leaf.attribute][t] if leaf.op == "input" else total[leaf.attribute]
            here += values[d]
        for key, d in backward.summed.items():
            shape = steps[t][key].shape
            sums[key] = sums[key] + values[d].expand(sample.rows, *shape).sum(0)
    for state, d in zip(graph.states, carried, strict=True):
        total[state.attribute] = d
    known = steps[0] | {leaf: sums[key] for key, leaf in backward.totals.items()}
    values = evaluate(backward.weights.values(), known, sample.sizes, backward.shapes)
    for parameter, d in backward.weights.items():
        total[parameter.attribute] = values[d].expand_as(sample.leaves[parameter])
    return total


def _forward(graph: Graph, sample: Sample) -> list[Values]:
    """All values of every step."""
    states = [sample.leaves[state] for state in graph.states]
    steps = []
    for t in range(sample.steps):
        known = {k: v[t] if k.op == "input" else v for k, v in sample.leaves.items()}
        known |= dict(zip(graph.states, states, strict=True))
        steps.append(evaluate(graph.nodes, known, sample.sizes, graph.shapes))
        states = [steps[-1][u].expand_as(s) for u, s in zip(graph.updates, states, strict=True)]
    return steps

"""Random graphs: every pass keeps the value, against a naive evaluation node by node."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recurra import cells
from recurra.backends.plan import Plan
from recurra.graph import Cell, Graph
from recurra.graph.expression import walk
from recurra.graph.facts import Variation, biases
from recurra.graph.operations import LEAVES, OPERATIONS
from recurra.graph.rewrite import (
    with_lengths,
    with_recurrent_dropout,
    with_reset,
    with_zoneout,
    without_biases,
)
from recurra.graph.simplify import gather_sums, simplify
from support import naive
from support.checks import check_backward, check_value, close
from support.random_cells import BINARY, UNARY, random_cells
from support.samples import Sample, sample

seeds = st.integers(0, 1000)


def same_value(before: Graph, after: Graph, values: Sample, named: bool = True) -> None:
    """Outputs, states and named values of both graphs over time agree."""
    output, states, history = naive.run(before, values)
    new_output, new_states, new_history = naive.run(after, values)
    close(new_output, output)
    for ours, theirs in zip(new_states, states, strict=True):
        close(ours.copy(), theirs.copy())
    if named:
        assert [name for name, _ in after.named] == [name for name, _ in before.named]
        for now, then in zip(new_history, history, strict=True):
            for (_, ours), (_, theirs) in zip(after.named, before.named, strict=True):
                wide = np.broadcast_shapes(now[ours].shape, then[theirs].shape)
                close(
                    np.broadcast_to(now[ours], wide).copy(),
                    np.broadcast_to(then[theirs], wide).copy(),
                )


def size(graph: Graph) -> int:
    """Nodes that compute something; a spread costs nothing."""
    return len([n for n in walk(graph.roots) if n.op not in LEAVES and n.op != "spread"])


def test_the_random_cells_use_every_operation() -> None:
    written = {"constant", "parameter", "fixed", "input", "state", "greater", "matmul", "transpose"}
    written |= {"max", "mean", "sum"} | {*UNARY, *BINARY} & set(OPERATIONS)
    only_in_rules_or_rewrites = {"given", "outer", "floor"}  # floor jumps where rounding differs
    assert written | only_in_rules_or_rewrites == set(OPERATIONS)


@given(random_cells(), seeds)
def test_simplify(cell: Cell, seed: int) -> None:
    graph = simplify(cell.graph)
    same_value(cell.graph, graph, sample(cell.graph, seed=seed))
    assert size(graph) <= size(cell.graph)
    assert graph.shapes[graph.output] == cell.graph.shapes[cell.graph.output]
    assert simplify(graph).roots == graph.roots


@given(random_cells(), seeds)
def test_gather_sums(cell: Cell, seed: int) -> None:
    same_value(cell.graph, gather_sums(cell.graph), sample(cell.graph, seed=seed))


@given(random_cells(), seeds)
def test_reference_plan(cell: Cell, seed: int) -> None:
    check_value(cell.graph, sample(cell.graph, seed=seed))


@given(random_cells(), seeds)
def test_backward_graph(cell: Cell, seed: int) -> None:
    check_backward(cell.graph, sample(cell.graph, seed=seed))


def neutral(graph: Graph, values: Sample, masks: dict[str, float]) -> Sample:
    """The sample with what a rewrite added: masks that change nothing, any initial state."""
    added = sample(graph, values.sizes)
    leaves = {leaf: value for leaf, value in added.leaves.items() if leaf not in values.leaves}
    for leaf, value in leaves.items():
        kind = leaf.attribute.split("_")[0]
        if kind in masks:
            leaves[leaf] = torch.full_like(value, masks[kind])
    return values.changed(leaves)


NEUTRAL = {"dropout": 1.0, "zoneout": 0.0, "reset": 0.0, "alive": 1.0}
REWRITES: dict[str, Callable[[Graph], Graph]] = {
    "dropout": with_recurrent_dropout,
    "zoneout": lambda graph: with_zoneout(graph, graph.state_names),
    "reset": with_reset,
    "lengths": with_lengths,
    "all": lambda graph: with_lengths(
        with_reset(with_zoneout(with_recurrent_dropout(graph), graph.state_names))
    ),
}


@pytest.mark.parametrize("name", REWRITES)
@given(random_cells(), seeds)
def test_rewrite_with_neutral_masks(name: str, cell: Cell, seed: int) -> None:
    graph = REWRITES[name](cell.graph)
    values = neutral(graph, sample(cell.graph, seed=seed), NEUTRAL)
    same_value(cell.graph, graph, values)
    check_value(graph, values)


@pytest.mark.parametrize("name", REWRITES)
@pytest.mark.parametrize("cell", cells.names())
def test_rewrite_of_published_cells_with_neutral_masks(name: str, cell: str) -> None:
    graph = cells.get(cell).graph
    new = REWRITES[name](graph)
    values = neutral(new, sample(graph), NEUTRAL)
    same_value(graph, new, values)
    check_backward(new, values)


@given(random_cells(), seeds)
def test_without_biases(cell: Cell, seed: int) -> None:
    values = sample(cell.graph, seed=seed)
    zeros = {leaf: torch.zeros_like(values.leaves[leaf]) for leaf in biases(cell.graph)}
    graph = without_biases(cell.graph)
    same_value(cell.graph, graph, values.changed(zeros))
    assert not set(zeros) & set(graph.parameters)


@pytest.mark.parametrize("cell", cells.names())
def test_published_cells_without_biases(cell: str) -> None:
    graph = cells.get(cell).graph
    new = without_biases(graph)
    values = sample(graph)
    zeros = {leaf: torch.zeros_like(values.leaves[leaf]) for leaf in biases(graph)}
    same_value(graph, new, values.changed(zeros))
    assert {p.attribute for p in new.parameters}.isdisjoint({z.attribute for z in zeros})


@given(random_cells())
def test_the_loop_holds_only_what_a_state_moves(cell: Cell) -> None:
    plan = Plan.of(cell.graph)
    computed = [node for node in plan.at if node in plan.varies]
    moving = [n for n in computed if plan.varies[n] is Variation.STEP and n.args]
    assert len(plan.step) <= len(moving) + len(plan.member_of)

"""The reference backend: number formats, empty sizes, what it keeps alive, what its loop holds."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from recurra import cells
from recurra.backends.plan import Plan, Program
from recurra.backends.reference import Reference, plan_of
from recurra.backends.weights import Weights
from recurra.graph import Graph, cell, mean, sigmoid, sum, tanh
from support.checks import check_value, close
from support.samples import Sample, sample

every_cell = pytest.mark.parametrize("name", cells.names())


def run(graph: Graph, values: Sample) -> tuple[Tensor, tuple[Tensor, ...]]:
    return Reference().run(graph, values.weights(), values.given(graph))


def products(program: Program) -> int:
    """How many matrix products a program holds."""
    return len([f for f, _, _ in program if f in (F.linear, torch.addmm)])


@every_cell
@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_empty_and_single_sizes(name: str, steps: int, rows: int) -> None:
    graph = cells.get(name).graph
    values = sample(graph, steps=steps, rows=rows)
    output, after = run(graph, values)
    size = values.sizes[graph.shapes[graph.output][0]]
    assert output.shape == (steps, rows, size)
    assert output.dtype == torch.float64
    for state, new in zip(graph.states, after, strict=True):
        assert new.shape == values.leaves[state].shape
        if steps == 0:
            close(new, values.leaves[state])


def test_an_output_of_its_own_size_without_a_step() -> None:
    @cell(state="h", shapes={"V_y": "P H"}, output="y")
    def read_out(p, x, h):
        h = tanh(p.W_h @ x + p.U_h @ h)
        y = p.V_y @ h  # noqa: F841  (the output)
        return h

    for steps in (0, 2):
        output, _ = run(read_out.graph, sample(read_out.graph, steps=steps))
        assert output.shape == (steps, 2, 2)


def test_sizes_of_numbers_follow_from_inputs_and_weights() -> None:
    @cell(state="h", shapes={"b": "P"})
    def counting(p, x, h):
        scale = sum(x * 0 + 2) * sum(p.b * 0 + 3) * sum(p.b)
        h = tanh(p.W_h @ x + p.U_h @ h) * scale / mean(x * 0 + 1)
        return h

    check_value(counting.graph)


@every_cell
def test_one_row_is_computed_as_in_a_batch(name: str) -> None:
    graph = cells.get(name).graph
    values = sample(graph, rows=3)
    output, _ = run(graph, values)
    one = {
        leaf: value[:, 1:2] if leaf.op == "input" else value[1:2] if leaf.op == "state" else value
        for leaf, value in values.leaves.items()
    }
    alone, _ = run(graph, replace(values, rows=1, leaves=one))
    close(alone, output[:, 1:2])


@every_cell
def test_a_sequence_in_two_parts_is_the_whole(name: str) -> None:
    graph = cells.get(name).graph
    values = sample(graph, steps=5)
    output, after = run(graph, values)
    states = tuple(values.leaves[state] for state in graph.states)
    parts = []
    for part in (slice(0, 2), slice(2, 5)):
        cut = {leaf: v[part] for leaf, v in values.leaves.items() if leaf.op == "input"}
        cut |= dict(zip(graph.states, states, strict=True))
        out, states = run(graph, replace(values.changed(cut), steps=len(range(5)[part])))
        parts.append(out)
    close(torch.cat(parts), output)
    for ours, theirs in zip(states, after, strict=True):
        close(ours, theirs)


@every_cell
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_number_format_of_the_weights_is_kept(name: str, dtype: torch.dtype) -> None:
    graph = cells.get(name).graph
    values = sample(graph)
    low = values.changed({leaf: value.to(dtype) for leaf, value in values.leaves.items()})
    output, after = run(graph, low)
    assert {output.dtype, *(state.dtype for state in after)} == {dtype}
    exact, _ = run(graph, values)
    tolerance = 1e-4 if dtype == torch.float32 else 0.2
    torch.testing.assert_close(output.double(), exact, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "all_at_once", "in_step"),
    [
        ("elman", 1, 1),
        ("lstm", 1, 1),
        ("lstm_1997", 1, 1),
        ("lstm_cifg", 1, 1),
        ("lstm_peephole", 1, 1),
        ("lstm_layernorm", 1, 1),
        ("lstm_projection", 1, 2),
        ("gru", 1, 1),
        ("gru_reset_before", 1, 2),
        ("mgu", 1, 2),
    ],
)
def test_products_that_the_loop_holds(name: str, all_at_once: int, in_step: int) -> None:
    plan = Plan.of(cells.get(name).graph)
    assert products(plan.parallel) == all_at_once
    assert products(plan.step) == in_step
    assert products(plan.constant) == 0


def test_an_lstm_step_holds_nothing_but_its_equations() -> None:
    """The bias and the products of the input are added before the loop."""
    plan = Plan.of(cells.get("lstm").graph)
    counted = Counter(getattr(function, "__name__", "") for function, _, _ in plan.step)
    assert counted["addmm"] == 1
    assert counted["sigmoid"] == 3
    assert counted["tanh"] == 2
    assert counted["<lambda>"] == 1 + 4  # the split, f * c, i * g, their sum, o * tanh(c)
    assert len(plan.step) == 11


def test_what_reads_no_state_is_computed_once_for_all_steps() -> None:
    @cell(state="h")
    def gated_by_input(p, x, h):
        f = sigmoid(p.W_f @ tanh(p.V_f @ x) + p.b_f) * mean(x)
        k = tanh(p.a_h) * 2
        h = f * h * k
        return h

    plan = Plan.of(gated_by_input.graph)
    assert len(plan.step) == 2
    assert products(plan.parallel) == 2
    assert any(function is torch.tanh for function, _, _ in plan.constant)


def test_computed_matrices_and_shared_biases_are_stacked_too() -> None:
    @cell(state="h", fixed={"M": lambda row, column, sizes: row > column})
    def woven(p, x, y, h):
        a = sigmoid(p.W_a @ x + p.b_a) * (p.V_a @ y + p.b_a)
        b = sigmoid(p.W_b @ x + p.b_b) * (p.V_b @ y + p.b_b)
        h = tanh((p.M * p.U_a) @ h + a) + tanh((p.M * p.U_b) @ h + b)
        return h

    plan = Plan.of(woven.graph)
    assert (products(plan.parallel), products(plan.step)) == (2, 1)
    check_value(woven.graph)


def test_stacked_weights_are_not_copied() -> None:
    graph = cells.get("lstm").graph
    stack = torch.randn(12, 3)
    weights = Weights([(("U_i", "U_f", "U_g", "U_o"), stack)], {})
    assert weights.stacked(("U_i", "U_f", "U_g", "U_o")) is stack
    assert weights["U_f"].data_ptr() == stack[3:].data_ptr()
    close(weights.stacked(("U_f", "U_i")), torch.cat([stack[3:6], stack[:3]]))
    assert graph.leaf("U_i") is not None


def test_a_weight_in_two_stacks_is_their_sum() -> None:
    one, two = torch.randn(4), torch.randn(6)
    weights = Weights([(("b_i", "b_f"), one), (("b_i", "b_f", "b_g"), two)], {})
    close(weights["b_f"], one[2:] + two[2:4])
    close(weights.stacked(("b_i", "b_f")), one + two[:4])


def test_nothing_of_a_call_is_kept() -> None:
    """No plan or cache holds a tensor of an earlier call, nor its way back."""
    graph = cells.get("lstm").graph
    values = sample(graph)
    grown = values.changed({leaf: v.clone().requires_grad_() for leaf, v in values.leaves.items()})
    output, after = run(graph, grown)
    watched = [weakref.ref(output), *map(weakref.ref, after)]
    watched += [weakref.ref(v) for v in grown.leaves.values()]
    output.sum().backward()
    del output, after, grown
    gc.collect()
    assert [ref() for ref in watched] == [None] * len(watched)


def test_two_calls_share_no_way_back() -> None:
    graph = cells.get("gru").graph
    values = sample(graph)
    weight = values.kind("parameter")["U_n"].requires_grad_()
    first, _ = run(graph, values)
    second, _ = run(graph, values)
    first.sum().backward()
    second.sum().backward()  # would fail if the first had freed what the second needs
    assert weight.grad is not None


def test_no_gradient_is_recorded_without_need() -> None:
    graph = cells.get("lstm").graph
    output, after = run(graph, sample(graph))
    assert not output.requires_grad
    assert not any(state.requires_grad for state in after)
    values = sample(graph)
    values.kind("parameter")["U_f"].requires_grad_()
    with torch.no_grad():
        output, _ = run(graph, values)
    assert output.grad_fn is None


@every_cell
def test_inputs_and_states_stay_as_they_were(name: str) -> None:
    graph = cells.get(name).graph
    values = sample(graph)
    before: dict[Any, Tensor] = {leaf: value.clone() for leaf, value in values.leaves.items()}
    run(graph, values)
    for leaf, value in values.leaves.items():
        assert torch.equal(value, before[leaf])


def test_a_plan_is_made_once_for_a_graph() -> None:
    graph = cells.get("mgu").graph
    assert plan_of(graph) is plan_of(graph)

"""Derived facts: stages, what leaves the time loop, counts, linear or not."""

from __future__ import annotations

import pytest

from recurra import cells
from recurra.graph import Cell, cell, maximum, mean, sigmoid, sum, tanh, where
from recurra.graph.facts import (
    biases,
    hoisted,
    is_linear,
    parameter_count,
    parameters_per_unit,
    stages,
)
from recurra.graph.text import expression_text


def written(groups: list[list[object]]) -> list[list[str]]:
    return [sorted(expression_text(node) for node in group) for group in groups]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("elman", 1),
        ("lstm", 1),
        ("gru", 1),
        ("gru_reset_before", 2),
        ("mgu", 2),
        ("lstm_projection", 2),
        ("lstm_layernorm", 5),  # product, mean, mean of squares, and both means of the norm of c
    ],
)
def test_number_of_stages(name: str, count: int) -> None:
    assert len(stages(cells.get(name).graph)) == count


def test_a_stage_waits_for_the_one_before() -> None:
    first, second = written(stages(cells.get("gru_reset_before").graph))
    assert first == ["U_r @ h", "U_z @ h"]
    (product,) = second
    assert product.startswith("U_n @ (sigmoid(")


LEAVE_TOO = {
    "qrnn": {"V_z @ x", "V_f @ x", "V_o @ x"},
    "rg_lru": {"V_r @ (W_u @ x)", "V_i @ (W_u @ x)"},
    "minimal_rnn": {"V_u @ tanh(W_z @ x + b_z)"},
    "tgru": {"V_z @ x", "V_f @ x", "V_o @ x"},
    "tlstm": {"V_z @ x", "V_f @ x", "V_o @ x"},
}


@pytest.mark.parametrize("name", cells.names())
def test_products_of_the_input_leave_the_loop(name: str) -> None:
    graph = cells.get(name).graph
    expected = {f"{p} @ x" for p in map(expression_text, graph.parameters) if p.startswith("W_")}
    expected |= LEAVE_TOO.get(name, set())
    assert {expression_text(node) for node in hoisted(graph)} == expected


def test_a_product_of_a_function_of_the_input_leaves_the_loop_too() -> None:
    @cell(state="h")
    def deep(p, x, h):
        h = tanh(p.V_h @ tanh(p.W_h @ x) + p.U_h @ h)
        return h

    assert len(hoisted(deep.graph)) == 2
    assert len(stages(deep.graph)) == 1


def test_parameters_per_unit_in_a_fixed_order() -> None:
    @cell(state="h, c", shapes={"alpha": "", "V": "P H", "c": "P"})
    def odd(p, x, h, c):
        c = tanh(p.V @ h + p.Q @ c + p.W_c @ x + p.b_c)
        h = tanh(p.alpha * (p.W_h @ x) + p.U_h @ h + p.R @ c)
        return h, c

    assert parameters_per_unit(odd.graph) == "I + H + 2P + PI/H + 1/H + P/H + PP/H"
    I, H, P = 3, 5, 2
    count = P * H + P * P + P * I + P + 1 + H * I + H * H + H * P
    assert parameter_count(odd.graph, {"I": I, "H": H, "P": P}) == count


def test_a_scalar_is_shared_by_all_units() -> None:
    @cell(state="h", shapes={"alpha": ""})
    def scaled(p, x, h):
        h = tanh(p.alpha * (p.W_h @ x) + p.U_h @ h)
        return h

    assert parameters_per_unit(scaled.graph) == "I + H + 1/H"


def linear_cells() -> list[tuple[Cell, bool]]:
    @cell(state="h")
    def leaky(p, x, h):
        h = p.a_h * h + sigmoid(p.W_h @ x) * (p.U_h @ h) - h / (1 + p.a_h * p.a_h)
        return h

    @cell(state="h")
    def gated(p, x, h):
        f = sigmoid(p.W_f @ x + p.b_f)
        h = where(f > 0.5, f * h, (1 - f) * (p.W_h @ x)) + mean(h) - sum(h) * 2
        return h

    @cell(state="h, c")
    def product(p, x, h, c):
        c = p.a_c * c + p.W_c @ x
        h = p.a_h * h * c
        return h, c

    @cell(state="h")
    def squared(p, x, h):
        h = p.a_h * h * h + p.W_h @ x
        return h

    @cell(state="h")
    def clipped(p, x, h):
        h = maximum(p.a_h * h, 0) + p.W_h @ x
        return h

    @cell(state="h")
    def choosing(p, x, h):
        h = where(h > 0, p.a_h * h, p.W_h @ x)
        return h

    @cell(state="h")
    def divided(p, x, h):
        h = p.a_h / (h + 2) + p.W_h @ x
        return h

    return [
        (leaky, True),
        (gated, True),
        (product, False),
        (squared, False),
        (clipped, False),
        (choosing, False),
        (divided, False),
    ]


@pytest.mark.parametrize(
    ("cell", "linear"), linear_cells(), ids=lambda value: getattr(value, "name", "")
)
def test_linear_in_the_state(cell: Cell, linear: bool) -> None:
    assert is_linear(cell.graph) is linear


LINEAR = {"hgrn", "mingru", "minlstm", "rg_lru", "trnn"}


@pytest.mark.parametrize("name", cells.names())
def test_which_published_cells_are_linear(name: str) -> None:
    assert is_linear(cells.get(name).graph) is (name in LINEAR)


def test_biases_are_vectors_that_are_only_added() -> None:
    names = {node.attribute for node in biases(cells.get("lstm_peephole").graph)}
    assert names == {"b_i", "b_f", "b_g", "b_o"}
    names = {node.attribute for node in biases(cells.get("gru").graph)}
    assert names == {"b_r", "b_z", "b_n", "c_n"}

"""Deliberate defects: what the suite checks of a cell must fail when one thing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from torch import nn

from recurra import cells
from recurra.backends import reference, rules
from recurra.graph import cell, gradients, sigmoid, tanh, where
from recurra.graph.expression import Expression
from recurra.graph.graph import Graph
from support.checks import check_against_torch, check_backward, check_lengths, check_value, layer_of


@cell(state="h, c")
def lstm_in_another_order(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)  # torch keeps g before o
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c


def torch_lstm(cell: Any) -> None:
    theirs = nn.LSTM(2, 3).double()
    check_against_torch(layer_of(cell), theirs)


def test_order_of_gates() -> None:
    torch_lstm("lstm")
    with pytest.raises(AssertionError):
        torch_lstm(lstm_in_another_order)


BROKEN: dict[str, Callable[..., Any]] = {
    "tanh": lambda y, g, shape: (g * (1 - y),),
    "sigmoid": lambda y, g, shape: (g * y * y,),
    "multiply": lambda y, g, shape: (g * y.args[0], g * y.args[1]),
    "subtract": lambda y, g, shape: (g, g),
    "matmul": lambda y, g, shape: (Expression("outer", (g, y.args[1])), None),
}


@pytest.mark.parametrize("op", BROKEN)
def test_gradient_rule(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = cells.get("gru").graph
    check_backward(graph)
    monkeypatch.setitem(gradients.RULES, op, BROKEN[op])
    with pytest.raises(AssertionError):
        check_backward(graph)


def test_operation_of_the_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = cells.get("elman").graph
    check_value(graph)
    monkeypatch.setitem(rules.RULES, "tanh", rules.RULES["sigmoid"])
    with pytest.raises(AssertionError):
        check_value(replace(graph))  # another graph: plans are kept


@pytest.fixture
def _fresh_masks() -> Iterator[None]:
    reference.masked.cache_clear()
    yield
    reference.masked.cache_clear()


def keeps_no_state(graph: Graph) -> Graph:
    """`with_lengths` that forgets to hold the state of a row that has ended."""
    alive = Expression("input", (), "alive")
    named = (value for _, value in graph.named)
    roots = (*graph.updates, where(alive, graph.output, 0), *named)
    return graph.with_roots(roots, {alive: ()})


def shows_what_follows(graph: Graph) -> Graph:
    """`with_lengths` that forgets to give out 0."""
    alive = Expression("input", (), "alive")
    updates = tuple(where(alive, n, s) for s, n in zip(graph.states, graph.updates, strict=True))
    named = (value for _, value in graph.named)
    return graph.with_roots((*updates, graph.output, *named), {alive: ()})


@pytest.mark.usefixtures("_fresh_masks")
@pytest.mark.parametrize("broken", [keeps_no_state, shows_what_follows])
def test_mask_of_the_lengths(
    broken: Callable[[Graph], Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    check_lengths("lstm")
    reference.masked.cache_clear()
    monkeypatch.setattr(reference, "with_lengths", broken)
    with pytest.raises(AssertionError):
        check_lengths("lstm")

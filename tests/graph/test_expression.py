"""Nodes: frozen, shared when equal, and walked operands first."""

from __future__ import annotations

import copy
import gc
import pickle

import pytest

from recurra.errors import CellError
from recurra.graph import Expression, constant, maximum, sigmoid, tanh, where
from recurra.graph.expression import substitute, walk

x = Expression("input", (), "x")
h = Expression("state", (), "h")


def test_equal_expressions_are_one_object() -> None:
    assert tanh(x + h) is tanh(x + h)
    assert tanh(x + h) is not tanh(h + x)
    assert constant(1) is constant(1.0)
    assert Expression("parameter", (), "h") is not h


def test_dead_nodes_make_room() -> None:
    first = id(tanh(x * 17))
    gc.collect()
    keep = [sigmoid(x * k) for k in range(20)]
    assert tanh(x * 17).op == "tanh"
    assert len({id(node) for node in keep}) == 20
    assert first


def test_copies_are_the_same_object() -> None:
    node = tanh(x + h)
    assert copy.copy(node) is copy.deepcopy(node) is node
    assert pickle.loads(pickle.dumps(node)) is node


def test_frozen() -> None:
    with pytest.raises(AttributeError, match="frozen"):
        x.op = "state"


def test_operators() -> None:
    assert (x + 1).args == (x, constant(1))
    assert (1 - x).args == (constant(1), x)
    assert (2 / x).op == "divide"
    assert (x < 0) is (constant(0) > x)
    assert (x**3) is x * x * x
    assert x**1 is x
    assert (-x).op == "negate"


@pytest.mark.parametrize("power", [0, -1, 0.5, "2"])
def test_other_powers_are_refused(power: object) -> None:
    with pytest.raises(CellError, match="power"):
        x**power  # type: ignore[operator]


@pytest.mark.parametrize("other", ["a", None, True, [1.0]])
def test_only_numbers_and_values_can_be_joined(other: object) -> None:
    with pytest.raises(CellError, match="stands where"):
        x + other  # type: ignore[operator]


def test_chained_comparison_is_a_branch() -> None:
    with pytest.raises(CellError, match="where"):
        0 < x < 1  # noqa: B015  (the comparison itself must raise)


def test_walk_gives_operands_first_and_each_once() -> None:
    root = where(x > h, tanh(x), tanh(x) + h)
    order = walk((root, x))
    assert len(order) == len(set(order))
    for node in order:
        assert all(order.index(arg) < order.index(node) for arg in node.args)


def test_walk_goes_deep() -> None:
    node = x
    for _ in range(5000):
        node = node + h
    assert len(walk((node,))) == 5002


def test_substitute_exchanges_every_place() -> None:
    (root,) = substitute((tanh(x) + x,), {x: h})
    assert root is tanh(h) + h


def test_the_size_of_a_value_is_a_maximum() -> None:
    a = Expression("input", (), "x")
    assert abs(a) is maximum(a, -a)


def test_an_attribute_that_is_not_there_can_be_asked_for() -> None:
    a = Expression("input", (), "x")
    assert not hasattr(a, "shape")
    assert a in {a: 1}
    with pytest.raises(AttributeError, match=r"no attribute 'tanh'; use tanh\(...\)"):
        a.tanh()

"""Every operation has a row in every reading of a graph, and there are few of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from recurra import graph as notation
from recurra.backends import rules
from recurra.errors import CellError
from recurra.graph import Expression, functions, gradients, simplify
from recurra.graph.latex import LATEX
from recurra.graph.operations import CALLED, ELEMENTWISE, LEAVES, OPERATIONS, REDUCTIONS
from recurra.graph.text import TEXT
from support import naive

TABLES: dict[str, Mapping[str, Any]] = {
    "gradients": gradients.RULES,
    "simplify": simplify.RULES,
    "text": TEXT.forms,
    "latex": LATEX.forms,
    "backend": rules.RULES,
}


@pytest.mark.parametrize("table", TABLES)
def test_every_operation_has_a_row(table: str) -> None:
    assert set(TABLES[table]) == set(OPERATIONS)


def test_numbers_fold_for_every_elementwise_operation() -> None:
    assert set(simplify.FOLDS) == ELEMENTWISE


def test_naive_evaluation_knows_every_operation() -> None:
    assert set(naive.MEANING) | LEAVES | {"spread"} == set(OPERATIONS)


def test_there_are_about_thirty() -> None:
    assert len(OPERATIONS) <= 32


def test_every_named_operation_is_a_function_that_cells_can_call() -> None:
    infix = {"add", "subtract", "multiply", "divide", "negate", "greater", "matmul"}
    inner = {"spread"}  # written by gradient rules only
    assert set(CALLED) == set(OPERATIONS) - LEAVES - infix - inner
    for name in CALLED:
        assert getattr(notation, name) is getattr(functions, name)
        assert name in notation.__all__


def test_kinds_are_told_apart() -> None:
    assert not LEAVES & ELEMENTWISE
    assert not REDUCTIONS & ELEMENTWISE


@pytest.mark.parametrize("op", sorted(set(OPERATIONS) - LEAVES))
def test_a_wrong_number_of_operands_is_refused(op: str) -> None:
    x = Expression("input", (), "x")
    with pytest.raises(CellError, match=f"{op} takes"):
        Expression(op, (x,) * (OPERATIONS[op].arity + 1))

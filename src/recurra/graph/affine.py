"""Matrices of a step as a part of a memory and an outer product: how it fades and takes up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from recurra.graph.expression import Expression, constant
from recurra.graph.functions import where
from recurra.graph.shapes import Shape
from recurra.graph.simplify import FOLDS


@dataclass(frozen=True)
class Update:
    """A matrix as decay * M + rate * outer(column, row), M the memory before the step.

    Attributes:
        decay, rate: scalars of the step.
        outer: the outer product; None if there is none.
    """

    decay: Expression
    rate: Expression
    outer: Expression | None


def affine(
    node: Expression, memory: Expression, shapes: Mapping[Expression, Shape]
) -> Update | None:
    """A matrix in the form of `Update`; None if it has none.

    Args:
        node: the matrix.
        memory: a leaf.
        shapes: of all nodes.
    """

    def of(matrix: Expression) -> Update | None:
        return affine(matrix, memory, shapes)

    if node is memory:
        return Update(constant(1), constant(0), None)
    if node.op == "outer":
        return Update(constant(0), constant(1), node)
    if node.op == "negate":
        return _scaled(of(node.args[0]), constant(-1))
    if node.op == "multiply":
        scalar, matrix = sorted(node.args, key=lambda arg: len(shapes[arg]))
        return None if shapes[scalar] else _scaled(of(matrix), scalar)
    if node.op == "divide":
        matrix, scalar = node.args
        return None if shapes[scalar] else _scaled(of(matrix), _folded(constant(1) / scalar))
    if node.op in ("add", "subtract", "where"):
        *condition, left, right = node.args
        if any(shapes[arg] for arg in condition):
            return None
        return _joined(node.op, condition, of(left), of(right))
    return None


def _scaled(update: Update | None, scalar: Expression) -> Update | None:
    if update is None:
        return None
    return Update(_times(scalar, update.decay), _times(scalar, update.rate), update.outer)


def _times(a: Expression, b: Expression) -> Expression:
    for one, other in ((a, b), (b, a)):
        if one.op == "constant" and one.attribute in (0, 1):
            return one if one.attribute == 0 else other
    return _folded(a * b)


def _folded(node: Expression) -> Expression:
    """An operation on numbers as its result."""
    if any(arg.op != "constant" for arg in node.args):
        return node
    try:
        return constant(FOLDS[node.op](*(arg.attribute for arg in node.args)))
    except ArithmeticError:
        return node


def _joined(
    op: str, condition: list[Expression], left: Update | None, right: Update | None
) -> Update | None:
    """A sum, difference or choice of two matrices."""
    if left is None or right is None:
        return None
    if left.outer is not None and right.outer not in (None, left.outer):
        return None
    pairs = ((left.decay, right.decay), (left.rate, right.rate))
    decay, rate = (_join(op, condition, *pair) for pair in pairs)
    return Update(decay, rate, right.outer if left.outer is None else left.outer)


def _join(op: str, condition: list[Expression], a: Expression, b: Expression) -> Expression:
    if op == "where":
        return a if a is b else where(condition[0], a, b)
    if b.op == "constant" and b.attribute == 0:
        return a
    if a.op == "constant" and a.attribute == 0:
        return b if op == "add" else _folded(-b)
    return _folded(a + b if op == "add" else a - b)

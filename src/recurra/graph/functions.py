"""The functions that cells call: sigmoid, tanh, where, mean and their like."""

from __future__ import annotations

from recurra.graph.expression import Expression, Number, lift

Value = Expression | Number


def exp(a: Value) -> Expression:
    """E to the power a."""
    return Expression("exp", (lift(a),))


def log(a: Value) -> Expression:
    """Natural logarithm of a."""
    return Expression("log", (lift(a),))


def sqrt(a: Value) -> Expression:
    """Square root of a."""
    return Expression("sqrt", (lift(a),))


def tanh(a: Value) -> Expression:
    """Hyperbolic tangent of a."""
    return Expression("tanh", (lift(a),))


def sigmoid(a: Value) -> Expression:
    """1 / (1 + exp(-a))."""
    return Expression("sigmoid", (lift(a),))


def relu(a: Value) -> Expression:
    """The larger of a and 0."""
    return Expression("relu", (lift(a),))


def softplus(a: Value) -> Expression:
    """log(1 + exp(a))."""
    return Expression("softplus", (lift(a),))


def floor(a: Value) -> Expression:
    """The largest integer not above a; its gradient is 0."""
    return Expression("floor", (lift(a),))


def maximum(a: Value, b: Value) -> Expression:
    """The larger of a and b, unit by unit."""
    return Expression("maximum", (lift(a), lift(b)))


def minimum(a: Value, b: Value) -> Expression:
    """The smaller of a and b, unit by unit."""
    return Expression("minimum", (lift(a), lift(b)))


def where(condition: Value, a: Value, b: Value) -> Expression:
    """A where the condition is not 0, else b, unit by unit."""
    return Expression("where", (lift(condition), lift(a), lift(b)))


def sum(a: Value) -> Expression:
    """Sum over the units: (H,) -> ()."""
    return Expression("sum", (lift(a),))


def mean(a: Value) -> Expression:
    """Mean over the units: (H,) -> ()."""
    return Expression("mean", (lift(a),))


def max(a: Value) -> Expression:
    """Largest over the units: (H,) -> ()."""
    return Expression("max", (lift(a),))


def transpose(a: Expression) -> Expression:
    """The matrix a, mirrored: (rows, columns) -> (columns, rows)."""
    return Expression("transpose", (a,))


def outer(a: Expression, b: Expression) -> Expression:
    """Column a times row b, a matrix: (rows,), (columns,) -> (rows, columns)."""
    return Expression("outer", (lift(a), lift(b)))

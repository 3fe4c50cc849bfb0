"""Between which numbers a value must lie, read off its equation: the scale of its colours."""

from __future__ import annotations

import math

from recurra.graph.expression import Expression, walk

Interval = tuple[float, float]
_OPEN: Interval = (-math.inf, math.inf)


def _product(a: Interval, b: Interval) -> Interval:
    corners = [0.0 if 0.0 in (x, y) else x * y for x in a for y in b]
    return min(corners), max(corners)


def _function(op: str, a: Interval) -> Interval:
    """The interval of a function of one operand."""
    match op:
        case "sigmoid":
            return 0.0, 1.0
        case "tanh":
            return (0.0, 1.0) if a[0] >= 0 else (-1.0, 1.0)
        case "relu":
            return max(a[0], 0.0), max(a[1], 0.0)
        case "softplus" | "exp" | "sqrt":
            return 0.0, math.inf
        case "negate":
            return -a[1], -a[0]
        case "mean" | "max" | "spread":
            return a
    return _OPEN


def _interval(node: Expression, args: list[Interval]) -> Interval:
    match node.op:
        case "constant":
            return float(node.attribute), float(node.attribute)
        case "add":
            return args[0][0] + args[1][0], args[0][1] + args[1][1]
        case "subtract":
            return args[0][0] - args[1][1], args[0][1] - args[1][0]
        case "multiply":
            return _product(args[0], args[1])
        case "maximum":
            return max(args[0][0], args[1][0]), max(args[0][1], args[1][1])
        case "minimum":
            return min(args[0][0], args[1][0]), min(args[0][1], args[1][1])
        case "greater":
            return 0.0, 1.0
        case "where":
            return min(args[1][0], args[2][0]), max(args[1][1], args[2][1])
    return _function(node.op, args[0]) if len(args) == 1 else _OPEN


def bounds(node: Expression) -> Interval | None:
    """The least and the largest number that `node` can be; None where its equation sets no bound.

    Example:
        >>> from recurra import cells
        >>> values = dict(cells.get("lstm").graph.named)
        >>> bounds(values["f"]), bounds(values["h"]), bounds(values["c"])
        ((0.0, 1.0), (-1.0, 1.0), None)
    """
    found: dict[Expression, Interval] = {}
    for each in walk([node]):
        low, high = _interval(each, [found[arg] for arg in each.args])
        found[each] = _OPEN if math.isnan(low) or math.isnan(high) else (low, high)
    low, high = found[node]
    return (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None

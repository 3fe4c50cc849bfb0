"""Bounds of a value that follow from its equation alone: what is a gate is between 0 and 1."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from recurra.graph import Expression, Graph
from recurra.graph.expression import walk
from recurra.graph.facts import Variation, variation

Range = tuple[float, float]
_ALL: Range = (-math.inf, math.inf)


@lru_cache(maxsize=512)
def find_gates(graph: Graph) -> tuple[str, ...]:
    """The names of the values that are gates, in the order of the equations.

    A gate is a value of the step which is between 0 and 1 whatever the weights and inputs are (a
    sigmoid, one minus a sigmoid, a product of both), and is made of trained weights. The output is
    none, nor a comparison, which is 0 or 1 only, nor a state unless it multiplies another value.
    """
    nodes = walk(graph.roots)
    varies, found = variation(nodes), bounds(graph)
    factors = {arg for node in nodes if node.op == "multiply" for arg in node.args}
    no_gates = {*(update for update in graph.updates if update not in factors), graph.output}
    return tuple(
        name
        for name, value in graph.named
        if value not in no_gates
        and value.op != "greater"
        and value.args
        and varies[value] is not Variation.CONSTANT
        and found[value][0] >= 0
        and found[value][1] <= 1
        and any(node.op == "parameter" for node in walk([value]))
    )


@lru_cache(maxsize=512)
def bounds(graph: Graph) -> dict[Expression, Range]:
    """For every node the smallest and largest value that it can have, by interval arithmetic.

    Moore 1966, Interval Analysis; with two more rules, for g * a + (1 - g) * b and a / (a + b).
    """
    found: dict[Expression, Range] = {}
    for node in walk(graph.roots):
        found[node] = _mixed(node, found) or RULES[node.op](
            node, *(found[arg] for arg in node.args)
        )
    return found


def within(inner: Range, low: float, high: float) -> bool:
    """Whether a range lies between two numbers."""
    return low <= inner[0] and inner[1] <= high


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b  # a bound of 0 is one, also beside infinity


def _product(a: Range, b: Range) -> Range:
    corners = [_times(x, y) for x in a for y in b]
    return min(corners), max(corners)


def _multiply(node: Expression, a: Range, b: Range) -> Range:
    low, high = _product(a, b)
    return (max(low, 0.0), high) if node.args[0] is node.args[1] else (low, high)


def _divide(node: Expression, a: Range, b: Range) -> Range:
    top, under = node.args
    if a[0] >= 0 and b[0] >= 0 and under.op == "add" and top in under.args:
        return 0.0, 1.0  # a / (a + b), both at least 0
    if b[0] < 0 < b[1]:
        return _ALL
    ends = sorted(math.copysign(math.inf, sum(b)) if end == 0 else 1 / end for end in b)
    return _product(a, (ends[0], ends[1]))


def _rising(function: Callable[[float], float]) -> Callable[..., Range]:
    return lambda node, a: (function(a[0]), function(a[1]))


def _sigmoid(a: float) -> float:
    return 0.0 if a < -700 else 1 / (1 + math.exp(-a))


def _exp(a: float) -> float:
    return math.inf if a > 700 else math.exp(a)


def _log(a: float) -> float:
    return math.log(a) if a > 0 else -math.inf


def _hull(*ranges: Range) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _unknown(node: Expression, *args: Range) -> Range:
    return _ALL


RULES: dict[str, Callable[..., Range]] = {
    "constant": lambda node: (node.attribute, node.attribute),
    "add": lambda node, a, b: (a[0] + b[0], a[1] + b[1]),
    "subtract": lambda node, a, b: (a[0] - b[1], a[1] - b[0]),
    "multiply": _multiply,
    "divide": _divide,
    "maximum": lambda node, a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "minimum": lambda node, a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "greater": lambda node, a, b: (0.0, 1.0),
    "where": lambda node, condition, a, b: _hull(a, b),
    "negate": lambda node, a: (-a[1], -a[0]),
    "exp": _rising(_exp),
    "log": _rising(_log),
    "sqrt": _rising(lambda a: math.sqrt(max(a, 0.0))),
    "tanh": _rising(math.tanh),
    "sigmoid": _rising(_sigmoid),
    "relu": _rising(lambda a: max(a, 0.0)),
    "softplus": _rising(lambda a: a if a > 700 else math.log1p(_exp(a))),
    "floor": _rising(lambda a: a if math.isinf(a) else float(math.floor(a))),
    "sum": lambda node, a: (0.0 if a[0] >= 0 else -math.inf, 0.0 if a[1] <= 0 else math.inf),
    "mean": lambda node, a: a,
    "max": lambda node, a: a,
    "spread": lambda node, a: a,
    "transpose": lambda node, a: a,
    **dict.fromkeys(("parameter", "fixed", "input", "given", "state", "matmul", "outer"), _unknown),
}


def _mixed(node: Expression, found: dict[Expression, Range]) -> Range | None:
    """The range of g * a + (1 - g) * b: that of a and b together, if g is between 0 and 1."""
    if node.op != "add":
        return None
    one, other = (_factors(arg) for arg in node.args)
    for mine, theirs in ((one, other), (other, one)):
        for share in mine:
            for rest in theirs:
                if _is_one_minus(rest, share) and within(found[share], 0, 1):
                    return _hull(_rest(mine, share, found), _rest(theirs, rest, found))
    return None


def _factors(node: Expression) -> list[Expression]:
    if node.op == "multiply":
        return [factor for arg in node.args for factor in _factors(arg)]
    return [node]


def _is_one_minus(node: Expression, share: Expression) -> bool:
    one = node.args[0] if node.op == "subtract" else None
    return one is not None and one.attribute == 1 and node.args[1] is share


def _rest(factors: list[Expression], without: Expression, found: dict[Expression, Range]) -> Range:
    """The range of the product of all factors but one."""
    rest = list(factors)
    rest.remove(without)
    total: Range = (1.0, 1.0)
    for factor in rest:
        total = _product(total, found[factor])
    return total

"""Simplification: rules that keep every value, and the gathering of sums for the time loop."""

from __future__ import annotations

import math
from collections.abc import Callable

from recurra.graph.expression import Expression, constant, walk, with_args
from recurra.graph.facts import Variation, uses, variation
from recurra.graph.graph import Graph
from recurra.graph.operations import ELEMENTWISE, LEAVES
from recurra.graph.shapes import Shape, shape_of

Rule = Callable[..., Expression | None]


def _is(node: Expression, number: float) -> bool:
    return node.op == "constant" and node.attribute == number


def _minus(a: Expression) -> Expression:
    return a.args[0] if a.op == "negate" else -a


def _add(a: Expression, b: Expression) -> Expression | None:
    if _is(a, 0):
        return b  # 0 + b -> b
    if _is(b, 0):
        return a  # a + 0 -> a
    if b.op == "negate":
        return a - b.args[0]  # a + -c -> a - c
    return None


def _subtract(a: Expression, b: Expression) -> Expression | None:
    if _is(b, 0):
        return a  # a - 0 -> a
    if _is(a, 0):
        return _minus(b)  # 0 - b -> -b
    if b.op == "negate":
        return a + b.args[0]  # a - -c -> a + c
    return None


def _multiply(a: Expression, b: Expression) -> Expression | None:
    for this, other in ((a, b), (b, a)):
        if _is(this, 0):
            return this  # a * 0 -> 0
        if _is(this, 1):
            return other  # a * 1 -> a
        if _is(this, -1):
            return _minus(other)  # a * -1 -> -a
    return None


def _divide(a: Expression, b: Expression) -> Expression | None:
    return a if _is(b, 1) else None  # a / 1 -> a


def _negate(a: Expression) -> Expression | None:
    return a.args[0] if a.op == "negate" else None  # --a -> a


def _where(condition: Expression, a: Expression, b: Expression) -> Expression | None:
    if condition.op == "constant":
        return a if condition.attribute != 0 else b  # the branch is known
    return a if a is b else None  # both branches are the same


def _transpose(a: Expression) -> Expression | None:
    return a.args[0] if a.op == "transpose" else None  # mirrored twice -> as it was


def _product(a: Expression, b: Expression) -> Expression | None:
    return b if _is(b, 0) else None  # W @ 0 -> 0


def _of_one_number(a: Expression) -> Expression | None:
    return a if a.op == "constant" else None  # the mean or maximum of equal numbers


def _sum(a: Expression) -> Expression | None:
    return a if _is(a, 0) else None


def _nothing(*args: Expression) -> None:
    return None


_CHANGING: dict[str, Rule] = {
    "add": _add,
    "subtract": _subtract,
    "multiply": _multiply,
    "divide": _divide,
    "negate": _negate,
    "where": _where,
    "transpose": _transpose,
    "matmul": _product,
    "sum": _sum,
    "mean": _of_one_number,
    "max": _of_one_number,
}
_UNCHANGED: dict[str, Rule] = dict.fromkeys(
    (
        *("maximum", "minimum", "greater", "exp", "log", "sqrt", "tanh", "sigmoid"),
        *("relu", "softplus", "floor", "spread", "outer"),
        *sorted(LEAVES),
    ),
    _nothing,
)
RULES = _CHANGING | _UNCHANGED

FOLDS: dict[str, Callable[..., float]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "maximum": max,
    "minimum": min,
    "greater": lambda a, b: float(a > b),
    "where": lambda c, a, b: a if c else b,
    "negate": lambda a: -a,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "relu": lambda a: max(a, 0.0),
    "softplus": lambda a: math.log1p(math.exp(a)),
    "floor": lambda a: float(math.floor(a)),
}


def simplify(graph: Graph) -> Graph:
    """The same step with fewer nodes: numbers folded, zeros, ones and double signs removed."""
    new: dict[Expression, Expression] = {}
    for node in walk(graph.roots):
        new[node] = _simplified(node, new, graph) if node.args else node
    return graph.with_roots(tuple(_as_large(new[root], root, graph) for root in graph.roots), {})


def _simplified(node: Expression, new: dict[Expression, Expression], graph: Graph) -> Expression:
    args = tuple(new[arg] for arg in node.args)
    if node.op in ELEMENTWISE:
        args = tuple(map(_bare, args))
    if node.op in FOLDS and all(arg.op == "constant" for arg in args):
        try:
            return constant(FOLDS[node.op](*(arg.attribute for arg in args)))
        except (ArithmeticError, ValueError):
            pass  # log(0), 1/0: left as it stands, so that it computes what the cell wrote
    better = RULES[node.op](*args)
    if better is not None and (len(graph.shapes[node]) < 2 or len(_shape(better, graph)) == 2):
        return better
    if node.op not in ELEMENTWISE:
        args = tuple(_as_large(arg, old, graph) for arg, old in zip(args, node.args, strict=True))
    return with_args(node, args)


def _bare(value: Expression) -> Expression:
    """A number that is repeated over the units, as the number: unit by unit it is the same."""
    repeated = value.op == "spread" and value.args[0].op == "constant"
    return value.args[0] if repeated else value


def _as_large(value: Expression, old: Expression, graph: Graph) -> Expression:
    """A vector that became a scalar, spread again: products, reductions, roots need all units."""
    if len(graph.shapes[old]) == 1 and not _shape(value, graph):
        return Expression("spread", (value,), graph.shapes[old][0])
    return value


def _shape(value: Expression, graph: Graph) -> Shape:
    return shape_of((value,), dict(graph.leaf_shapes))[value]


def gather_sums(graph: Graph) -> Graph:
    """Sums re-ordered by how often their terms change: (inputs and weights) + products + the rest.

    W @ x + U @ h + b becomes (W @ x + b) + U @ h, so that the bracket leaves the time loop. Named
    values and values with several readers are kept as they are. Values change by rounding only.
    """
    varies = variation(walk(graph.roots))
    readers = uses(walk(graph.roots))
    kept = set(graph.roots)
    inner = {
        node
        for node, users in readers.items()
        if _is_sum(node)
        and node not in kept
        and len(users) == 1
        and _is_sum(users[0])
        # a + a reads its operand twice, which `uses` counts once
        and users[0].args.count(node) == 1
    }
    new: dict[Expression, Expression] = {}
    for node in walk(graph.roots):
        if _is_sum(node) and node not in inner and len(graph.shapes[node]) == 1:
            terms = sorted(_terms(node, inner), key=lambda term: _rank(term[0], varies))
            new[node] = _signed_sum([(new[value], sign) for value, sign in terms])
        else:
            new[node] = with_args(node, tuple(new[arg] for arg in node.args))
    return graph.with_roots(tuple(new[root] for root in graph.roots), {})


def _is_sum(node: Expression) -> bool:
    return node.op in ("add", "subtract")


def _terms(node: Expression, inner: set[Expression]) -> list[tuple[Expression, int]]:
    left, right = node.args
    sign = -1 if node.op == "subtract" else 1
    first = _terms(left, inner) if left in inner else [(left, 1)]
    second = _terms(right, inner) if right in inner else [(right, 1)]
    return first + [(value, sign * own) for value, own in second]


def _rank(value: Expression, varies: dict[Expression, Variation]) -> int:
    """Products of inputs, other inputs, weights, recurrent products, other values of the step."""
    order = {Variation.PARALLEL: 1, Variation.CONSTANT: 2, Variation.STEP: 4}[varies[value]]
    return order - 1 if value.op == "matmul" and order != 2 else order


def _signed_sum(terms: list[tuple[Expression, int]]) -> Expression:
    (total, sign), *rest = terms
    total = total if sign > 0 else -total
    for value, sign in rest:
        total = total + value if sign > 0 else total - value
    return total

"""Random legal cells for hypothesis: any nesting of operations over inputs, states and weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import strategies as st

from recurra import graph as g
from recurra.graph import Cell, Expression, cell

# Each step takes earlier values. What could overflow or leave its domain is kept inside it, and no
# step jumps, so that a pass may change the rounding.
UNARY: dict[str, Callable[[Any, Expression], Expression]] = {
    "negate": lambda p, a: -a,
    "exp": lambda p, a: g.exp(g.tanh(a)),
    "log": lambda p, a: g.log(a * a + 0.5),
    "sqrt": lambda p, a: g.sqrt(a * a + 0.5),
    "tanh": lambda p, a: g.tanh(a),
    "sigmoid": lambda p, a: g.sigmoid(a),
    "relu": lambda p, a: g.relu(a - 0.1),
    "softplus": lambda p, a: g.softplus(a),
    "product": lambda p, a: p.U @ g.tanh(a + p.b),
    "other_product": lambda p, a: p.V @ g.tanh(a * p.v),
    "masked": lambda p, a: (p.M * p.U) @ g.tanh(a + p.v),
    "cut": lambda p, a: a * 0,
    "set": lambda p, a: a * 0 + 0.75,
    "one": lambda p, a: 1 * a + 0,
    "number": lambda p, a: a * (g.exp(g.constant(0)) - 2),
}
BINARY: dict[str, Callable[[Any, Expression, Expression], Expression]] = {
    "add": lambda p, a, b: a + b,
    "subtract": lambda p, a, b: a - b,
    "multiply": lambda p, a, b: a * b,
    "divide": lambda p, a, b: a / (1 + b * b),
    "maximum": lambda p, a, b: g.maximum(a, b),
    "minimum": lambda p, a, b: g.minimum(a, b),
    "where": lambda p, a, b: g.where(p.v > 0, a, b),
    "where_value": lambda p, a, b: g.where(g.relu(a), a * b, a),
    "mirrored": lambda p, a, b: g.transpose(p.V) @ g.sigmoid(a + b),
    "of_all": lambda p, a, b: b - g.mean(a + p.v),
    "shared": lambda p, a, b: b / (1 + g.max(a * p.b) * g.max(a * p.b)),
    "summed": lambda p, a, b: g.tanh(g.sum(a + p.b)) * b,
    "minus": lambda p, a, b: a + -b,
    "back": lambda p, a, b: b - (-a),
    "spread": lambda p, a, b: a * 0 + g.mean(b + p.v),
    "known": lambda p, a, b: g.where(g.constant(2) > 1, a, b),
}


@st.composite
def random_cells(draw: st.DrawFn) -> Cell:
    """A cell with inputs x and y, states h and c, and up to ten steps between."""
    position = st.integers(0, 5)  # counted back from the newest value
    step = st.tuples(st.sampled_from([*UNARY, *BINARY]), position, position)
    steps = draw(st.lists(step, min_size=2, max_size=10))
    output = draw(st.sampled_from(["h", "c", "n"]))

    fixed = {"M": lambda row, column, sizes: row >= column} if _reads_mask(steps) else {}

    @cell(state="h, c", output=output, fixed=fixed)
    def random(p: Any, x: Expression, y: Expression, h: Expression, c: Expression) -> Any:
        pool: list[Callable[[], Expression]] = [
            lambda: h,
            lambda: p.W @ x,
            lambda: c,
            lambda: y + p.b,
            lambda: p.U @ h,
            lambda: p.W @ x + p.U @ h + p.b,
        ]
        for name, first, second in steps:
            pool.append(partial(_value, p, name, pool[-1 - first], pool[-1 - second]))
        n = pool[-1]()
        c = g.tanh(pool[-2]()) + 0.5 * c
        h = g.tanh(n) * 0.9 + p.U @ h + (p.V @ y + p.W @ x) * p.v
        return h, c

    return random


def _reads_mask(steps: list[tuple[str, int, int]]) -> bool:
    """Whether a step with the fixed weight M is among those that the last two values need."""
    wanted = {len(steps) + 5, len(steps) + 4}
    for k in range(len(steps) + 5, 5, -1):  # places in the pool, whose first six are no steps
        name, first, second = steps[k - 6]
        if k in wanted:
            wanted |= {k - 1 - first, k - 1 - second} if name in BINARY else {k - 1 - first}
    return any(step[0] == "masked" and k in wanted for k, step in enumerate(steps, 6))


def _value(
    p: Any, name: str, first: Callable[[], Expression], second: Callable[[], Expression]
) -> Expression:
    """A step, with only those operands built that it reads: the others may read unused weights."""
    if name in UNARY:
        return UNARY[name](p, first())
    return BINARY[name](p, first(), second())

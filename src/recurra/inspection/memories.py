"""Additive memories, found by reading the equations: states with s[t] = keep * s[t-1] + write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from recurra.errors import UsageError
from recurra.graph import Expression, Graph, constant, where
from recurra.graph.expression import walk
from recurra.graph.text import expression_text
from recurra.inspection.ranges import find_gates

_ZERO, _ONE = constant(0), constant(1)


@dataclass(frozen=True, eq=False)
class Memory:
    """A state that is kept in part, unit by unit, and added to.

    Attributes:
        state: its name.
        keep: the share of the old value that is kept: f of an LSTM, z of torch's GRU.
        write: what the step adds: i * g of an LSTM, (1 - z) * n of a GRU. Both may read the old
            state inside products and activations, as peepholes do; the sum is exact nevertheless.
        gates: names of the gates that `keep` is made of.
        text: `keep` as it is written in the equations, such as "1 - f".
    """

    state: str
    keep: Expression
    write: Expression
    gates: tuple[str, ...]
    text: str


@lru_cache(maxsize=512)
def find_memories(graph: Graph) -> tuple[Memory, ...]:
    """The additive memories of a cell, in the order of its states.

    The old state is followed through sums, differences, products with other values and choices;
    where it enters an activation or a product with a matrix, it is no longer kept but read.
    """
    found = []
    for state, update in zip(graph.states, graph.updates, strict=True):
        try:
            keep, write = _split(update, state)
        except _NotAdditive:
            continue
        if keep is not None:
            found.append(_memory(graph, str(state.attribute), keep, _or_zero(write)))
    return tuple(found)


def memory(graph: Graph, state: str) -> Memory:
    """One memory by the name of its state.

    Raises:
        UsageError: the state is no additive memory.
    """
    known = {one.state: one for one in find_memories(graph)}
    if state not in known:
        have = ", ".join(known) or "none of its states is one"
        raise UsageError(
            f"{state} of cell {graph.name} is no additive memory, whose steps could be told apart: "
            f"no equation of the form {state} = keep * {state} + write. Such a memory here: {have}."
        )
    return known[state]


def _memory(graph: Graph, state: str, keep: Expression, write: Expression) -> Memory:
    inside = set(_line(keep))
    named = dict(graph.named)
    made_of = tuple(name for name in find_gates(graph) if named[name] in inside)
    text = graph.names.get(keep) or expression_text(keep, graph.names.get)
    return Memory(state, keep, write, made_of, text)


def _line(node: Expression) -> list[Expression]:
    """The nodes of an expression that are reached by arithmetic alone."""
    if node.op in ("add", "subtract", "multiply", "divide", "negate", "where", "spread"):
        return [node, *(below for arg in node.args for below in _line(arg))]
    return [node]


class _NotAdditive(Exception):  # noqa: N818  (no fault: the state is just none)
    """The state is multiplied with itself, or divides."""


_Split = tuple[Expression | None, Expression | None]  # None stands for 0


def _split(node: Expression, state: Expression) -> _Split:
    """(keep, write) with node = keep * state + write."""
    if node is state:
        return _ONE, None
    rule = _SPLITS.get(node.op)
    if rule is None or state not in walk([node]):
        return None, node
    return rule(node, [_split(arg, state) for arg in node.args])


def _add(node: Expression, parts: list[_Split]) -> _Split:
    (a, b), (c, d) = parts
    return _plus(a, c), _plus(b, d)


def _subtract(node: Expression, parts: list[_Split]) -> _Split:
    (a, b), (c, d) = parts
    return _minus(a, c), _minus(b, d)


def _negate(node: Expression, parts: list[_Split]) -> _Split:
    ((a, b),) = parts
    return _minus(None, a), _minus(None, b)


def _multiply(node: Expression, parts: list[_Split]) -> _Split:
    (a, b), (c, d) = parts
    if a is not None and c is not None:
        raise _NotAdditive
    left, right = node.args
    if a is None and c is None:
        return None, node
    return (_by(a, right), _by(b, right)) if a is not None else (_by(c, left), _by(d, left))


def _divide(node: Expression, parts: list[_Split]) -> _Split:
    (a, b), (c, _) = parts
    if c is not None:
        raise _NotAdditive
    if a is None:
        return None, node
    under = node.args[1]
    return a / under, None if b is None else b / under


def _where(node: Expression, parts: list[_Split]) -> _Split:
    condition = node.args[0]
    _, (a, b), (c, d) = parts
    if a is None and c is None:
        return None, node
    return where(condition, _or_zero(a), _or_zero(c)), where(condition, _or_zero(b), _or_zero(d))


_SPLITS: dict[str, Callable[[Expression, list[_Split]], _Split]] = {
    "add": _add,
    "subtract": _subtract,
    "negate": _negate,
    "multiply": _multiply,
    "divide": _divide,
    "where": _where,
}


def _plus(a: Expression | None, b: Expression | None) -> Expression | None:
    if a is None or b is None:
        return a if b is None else b
    return a + b


def _minus(a: Expression | None, b: Expression | None) -> Expression | None:
    if b is None:
        return a
    return -b if a is None else a - b


def _by(a: Expression | None, factor: Expression) -> Expression | None:
    if a is None:
        return None
    return factor if a is _ONE else a * factor


def _or_zero(a: Expression | None) -> Expression:
    return _ZERO if a is None else a

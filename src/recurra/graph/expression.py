"""The node of a graph: frozen, and shared when equal.

Two expressions that are built alike *are* the same object, so a common part of two equations is
computed once, and `is` compares. Nothing here knows shapes or PyTorch.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from recurra.errors import CellError
from recurra.graph.operations import CALLED, OPERATIONS

Number = int | float
_SHARED: weakref.WeakValueDictionary[tuple[Any, ...], Expression] = weakref.WeakValueDictionary()
_LISTENERS: list[Callable[[Expression], None]] = []


def _sign(attribute: Any) -> float:
    """What tells 0.0 from -0.0, which are equal."""
    return math.copysign(1.0, attribute) if isinstance(attribute, float) else 0.0


class Expression:
    """One value of a step: an operation, its operands, and for a leaf its name, number or size."""

    __slots__ = ("__weakref__", "args", "attribute", "op")

    op: str
    args: tuple[Expression, ...]
    attribute: Any

    def __new__(
        cls, op: str, args: tuple[Expression, ...] = (), attribute: Any = None
    ) -> Expression:
        """Return the one node with this content."""
        key = (op, tuple(map(id, args)), type(attribute), attribute, _sign(attribute))
        node = _SHARED.get(key)
        if node is None:
            if len(args) != OPERATIONS[op].arity:
                raise CellError(
                    f"{op} takes {OPERATIONS[op].arity} operands, {len(args)} were given."
                )
            node = super().__new__(cls)
            object.__setattr__(node, "op", op)
            object.__setattr__(node, "args", args)
            object.__setattr__(node, "attribute", attribute)
            _SHARED[key] = node
        for listener in _LISTENERS:
            listener(node)
        return node

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("an expression is frozen; build a new one")

    def __copy__(self) -> Expression:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Expression:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return Expression, (self.op, self.args, self.attribute)

    def __bool__(self) -> NoReturn:
        raise CellError(
            "a cell cannot branch on a value of the step: it is traced once, on symbols. "
            "Use where(condition, a, b), or maximum(a, b) and minimum(a, b)."
        )

    def __repr__(self) -> str:
        inside = [repr(self.attribute)] if self.attribute is not None else []
        return f"{self.op}({', '.join(inside + [repr(a) for a in self.args])})"

    def __add__(self, other: Expression | Number) -> Expression:
        return Expression("add", (self, lift(other)))

    def __radd__(self, other: Number) -> Expression:
        return Expression("add", (lift(other), self))

    def __sub__(self, other: Expression | Number) -> Expression:
        return Expression("subtract", (self, lift(other)))

    def __rsub__(self, other: Number) -> Expression:
        return Expression("subtract", (lift(other), self))

    def __mul__(self, other: Expression | Number) -> Expression:
        return Expression("multiply", (self, lift(other)))

    def __rmul__(self, other: Number) -> Expression:
        return Expression("multiply", (lift(other), self))

    def __truediv__(self, other: Expression | Number) -> Expression:
        return Expression("divide", (self, lift(other)))

    def __rtruediv__(self, other: Number) -> Expression:
        return Expression("divide", (lift(other), self))

    def __matmul__(self, other: Expression) -> Expression:
        return Expression("matmul", (self, lift(other)))

    def __neg__(self) -> Expression:
        return Expression("negate", (self,))

    def __pow__(self, exponent: int) -> Expression:
        if not isinstance(exponent, int) or exponent < 1:
            raise CellError(
                f"the power {exponent!r} is not a whole number from 1; use exp and log."
            )
        result = self
        for _ in range(exponent - 1):
            result = result * self
        return result

    def __gt__(self, other: Expression | Number) -> Expression:
        return Expression("greater", (self, lift(other)))

    def __lt__(self, other: Expression | Number) -> Expression:
        return Expression("greater", (lift(other), self))

    def __abs__(self) -> Expression:
        return Expression("maximum", (self, -self))

    # What follows refuses what people write out of habit, and says what to write instead.

    def __ge__(self, other: object) -> NoReturn:
        raise CellError("a cell has no >=; write a > b, or 1 - (a < b).")

    def __le__(self, other: object) -> NoReturn:
        raise CellError("a cell has no <=; write a < b, or 1 - (a > b).")

    def __rpow__(self, base: object) -> NoReturn:
        raise CellError("a value cannot be an exponent; write exp(b * log(a)) for a ** b.")

    def __getitem__(self, index: object) -> NoReturn:
        raise CellError(
            "a value of the step has no parts, units are not numbered; give each part a weight and "
            "a name of its own."
        )

    def __getattr__(self, name: str) -> NoReturn:
        # An AttributeError, so that hasattr, copy and pickle go on; tracing gives it its line.
        remedy = "write transpose(p.W)" if name in ("T", "mT", "t") else _instead(name)
        raise AttributeError(f"a value of the step has no attribute {name!r}; {remedy}.")

    @classmethod
    def __torch_function__(
        cls, function: Any, types: object, args: object = (), kwargs: object = None
    ) -> NoReturn:
        name = getattr(function, "__name__", str(function))
        raise CellError(
            f"torch's {name} takes no value of the step: a cell is traced on symbols; "
            f"{_instead(name)}."
        )


def _instead(name: str) -> str:
    """What to write in the place of a function or method that a cell does not have."""
    if name in CALLED:
        return f"use {name}(...) after `from recurra.graph import {name}`"
    return f"a cell has + - * / @ > < and, from recurra.graph, {', '.join(CALLED)}"


def lift(value: Expression | Number) -> Expression:
    """A number as a constant; an expression as it is."""
    if isinstance(value, Expression):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CellError(
            f"a {type(value).__name__} stands where a value of the step or a number is needed: "
            f"{value!r}."
            + (" Two values are compared by > or <, not by ==." if isinstance(value, bool) else "")
        )
    return Expression("constant", (), float(value))


def constant(value: Number) -> Expression:
    """A number as a node."""
    return lift(value)


def walk(roots: Iterable[Expression]) -> list[Expression]:
    """All nodes under `roots`, each once, operands before their users, in a fixed order."""
    order: list[Expression] = []
    seen: set[Expression] = set()
    stack = [(root, False) for root in reversed(tuple(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(node.args))
    return order


def rebuild(
    roots: Iterable[Expression],
    change: Callable[[Expression, tuple[Expression, ...]], Expression],
) -> tuple[Expression, ...]:
    """`roots` built anew from the leaves up: `change` gets each node and its new operands."""
    roots = tuple(roots)
    new: dict[Expression, Expression] = {}
    for node in walk(roots):
        new[node] = change(node, tuple(new[arg] for arg in node.args))
    return tuple(new[root] for root in roots)


def with_args(node: Expression, args: tuple[Expression, ...]) -> Expression:
    """The same operation on other operands."""
    return Expression(node.op, args, node.attribute) if args else node


def substitute(
    roots: Iterable[Expression], replacement: Mapping[Expression, Expression]
) -> tuple[Expression, ...]:
    """`roots` with every node that is a key of `replacement` exchanged for its value."""
    return rebuild(
        roots,
        lambda node, args: replacement[node] if node in replacement else with_args(node, args),
    )


class Listening:
    """While it is open, remembers the line of the caller for each node that is built.

    Errors about a node can then point at the line of the cell that wrote it.
    """

    def __init__(self, code_filename: str) -> None:
        self.filename = code_filename
        self.lines: dict[Expression, int] = {}

    def _hear(self, node: Expression) -> None:
        if node in self.lines:
            return
        frame = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename != self.filename:
            frame = frame.f_back  # type: ignore[assignment]
        if frame is not None:
            self.lines[node] = frame.f_lineno

    def __enter__(self) -> Listening:
        _LISTENERS.append(self._hear)
        return self

    def __exit__(self, *exception: object) -> None:
        _LISTENERS.remove(self._hear)

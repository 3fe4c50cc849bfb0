"""The operations that a cell may use: one row each, with its arity and what it means.

Every other reading of a graph (run, differentiate, simplify, print) is a table keyed by these
names; a test demands that each of them has a row in every table.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """How an operation acts on shapes."""

    LEAF = "a value that is given to the step"
    ELEMENTWISE = "unit by unit; a scalar is spread over all units"
    REDUCTION = "over the units of one row: (H,) -> ()"
    LINEAR = "matrices, and their products with a value"


@dataclass(frozen=True)
class Operation:
    """One operation: its name, the number of its operands, its kind and its meaning."""

    name: str
    arity: int
    kind: Kind
    meaning: str


_ROWS = (
    ("parameter", 0, Kind.LEAF, "a trained weight, the same in every row and step"),
    ("fixed", 0, Kind.LEAF, "a weight that is computed once and never trained"),
    ("constant", 0, Kind.LEAF, "a number"),
    ("input", 0, Kind.LEAF, "a value of this step, from a sequence"),
    ("given", 0, Kind.LEAF, "a value of this row, the same in every step"),
    ("state", 0, Kind.LEAF, "a value carried over from the step before"),
    ("add", 2, Kind.ELEMENTWISE, "a + b"),
    ("subtract", 2, Kind.ELEMENTWISE, "a - b"),
    ("multiply", 2, Kind.ELEMENTWISE, "a * b"),
    ("divide", 2, Kind.ELEMENTWISE, "a / b"),
    ("maximum", 2, Kind.ELEMENTWISE, "the larger of a and b"),
    ("minimum", 2, Kind.ELEMENTWISE, "the smaller of a and b"),
    ("greater", 2, Kind.ELEMENTWISE, "1 where a > b, else 0; has no gradient"),
    ("where", 3, Kind.ELEMENTWISE, "b where a is not 0, else c"),
    ("negate", 1, Kind.ELEMENTWISE, "-a"),
    ("exp", 1, Kind.ELEMENTWISE, "e to the a"),
    ("log", 1, Kind.ELEMENTWISE, "natural logarithm"),
    ("sqrt", 1, Kind.ELEMENTWISE, "square root"),
    ("tanh", 1, Kind.ELEMENTWISE, "hyperbolic tangent"),
    ("sigmoid", 1, Kind.ELEMENTWISE, "1 / (1 + exp(-a))"),
    ("relu", 1, Kind.ELEMENTWISE, "the larger of a and 0"),
    ("softplus", 1, Kind.ELEMENTWISE, "log(1 + exp(a))"),
    ("floor", 1, Kind.ELEMENTWISE, "the largest integer not above a; has no gradient"),
    ("sum", 1, Kind.REDUCTION, "sum over the units"),
    ("mean", 1, Kind.REDUCTION, "mean over the units"),
    (
        "max",
        1,
        Kind.REDUCTION,
        "largest over the units; its gradient goes to all units that reach it",
    ),
    ("spread", 1, Kind.LINEAR, "a scalar repeated over the units: () -> (H,)"),
    ("matmul", 2, Kind.LINEAR, "matrix times vector"),
    ("transpose", 1, Kind.LINEAR, "a matrix mirrored"),
    ("outer", 2, Kind.LINEAR, "column a times row b: a matrix of the step"),
)

OPERATIONS: dict[str, Operation] = {row[0]: Operation(*row) for row in _ROWS}

# Those that a cell calls by name, after `from recurra.graph import tanh`.
CALLED = (
    *("sigmoid", "tanh", "relu", "softplus", "exp", "log", "sqrt", "floor"),
    *("maximum", "minimum", "where", "sum", "mean", "max", "transpose", "outer"),
)
LEAVES = frozenset(name for name, op in OPERATIONS.items() if op.kind is Kind.LEAF)
ELEMENTWISE = frozenset(name for name, op in OPERATIONS.items() if op.kind is Kind.ELEMENTWISE)
REDUCTIONS = frozenset(name for name, op in OPERATIONS.items() if op.kind is Kind.REDUCTION)

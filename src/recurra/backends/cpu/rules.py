"""Every operation as vector code: one row each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.ir as ir

from recurra.backends.cpu.vectors import Vectors

Rule = Callable[..., ir.Value]


def _elsewhere(*args: Any) -> ir.Value:
    raise AssertionError("computed by a product, a reduction, or before the loop")


RULES: dict[str, Rule] = {
    "add": lambda v, a, b: v.b.fadd(a, b),
    "subtract": lambda v, a, b: v.b.fsub(a, b),
    "multiply": lambda v, a, b: v.b.fmul(a, b),
    "divide": lambda v, a, b: v.b.fdiv(a, b),
    "maximum": Vectors.maximum,
    "minimum": Vectors.minimum,
    "greater": Vectors.greater,
    "where": Vectors.where,
    "negate": lambda v, a: v.b.fneg(a),
    "exp": Vectors.exp,
    "log": Vectors.log,
    "sqrt": lambda v, a: v.call("sqrt", a),
    "tanh": Vectors.tanh,
    "sigmoid": Vectors.sigmoid,
    "relu": Vectors.relu,
    "softplus": Vectors.softplus,
    "floor": lambda v, a: v.call("floor", a),
    "spread": lambda v, a: a,
    "sum": _elsewhere,
    "mean": _elsewhere,
    "max": _elsewhere,
    "matmul": _elsewhere,
    "transpose": _elsewhere,
    "outer": _elsewhere,
    "parameter": _elsewhere,
    "fixed": _elsewhere,
    "constant": _elsewhere,
    "input": _elsewhere,
    "given": _elsewhere,
    "state": _elsewhere,
}

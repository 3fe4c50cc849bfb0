"""Every operation in PyTorch: one row each.

A value of a step is (B, size), a scalar of a row (B, 1), a matrix of a row (B, rows, columns); a
weight has no row; a number is a float.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812  (the name that PyTorch's users know)
from torch import Tensor

Value = Tensor | float


def _pair(a: Value, b: Value) -> tuple[Tensor, Tensor]:
    """Both as tensors, for the functions of torch that take no plain number."""
    like = a if isinstance(a, Tensor) else b
    assert isinstance(like, Tensor)
    return (
        a if isinstance(a, Tensor) else like.new_tensor(a),
        b if isinstance(b, Tensor) else like.new_tensor(b),
    )


def _greater(a: Value, b: Value) -> Tensor:
    a, b = _pair(a, b)
    return (a > b).to(torch.result_type(a, b))


def _where(condition: Value, a: Value, b: Value) -> Tensor:
    assert isinstance(condition, Tensor)
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        a = condition.new_tensor(a)  # two numbers alone would come out as float32
    return torch.where(condition != 0, a, b)


def _matmul(matrix: Tensor, value: Tensor) -> Tensor:
    if matrix.dim() == 2:  # a weight
        return F.linear(value, matrix)
    return (matrix @ value.unsqueeze(-1)).squeeze(-1)


def _outer(a: Tensor, b: Tensor) -> Tensor:
    return a.unsqueeze(-1) * b.unsqueeze(-2)


def _no_leaf(*args: Any) -> Tensor:
    raise AssertionError("a leaf is given, not computed")


RULES: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "maximum": lambda a, b: torch.maximum(*_pair(a, b)),
    "minimum": lambda a, b: torch.minimum(*_pair(a, b)),
    "greater": _greater,
    "where": _where,
    "negate": lambda a: -a,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "softplus": lambda a: F.softplus(a, threshold=40),  # above it log(1 + exp(a)) rounds to a
    "floor": torch.floor,
    "sum": lambda a: a.sum(-1, keepdim=True),
    "mean": lambda a: a.mean(-1, keepdim=True),
    "max": lambda a: a.amax(-1, keepdim=True),
    "spread": lambda a, size: a.expand(*a.shape[:-1], size),
    "matmul": _matmul,
    "transpose": lambda matrix: matrix.mT,
    "outer": _outer,
    "parameter": _no_leaf,
    "fixed": _no_leaf,
    "constant": _no_leaf,
    "input": _no_leaf,
    "given": _no_leaf,
    "state": _no_leaf,
}

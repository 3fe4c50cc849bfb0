"""Every gradient rule by itself: against numeric gradients, and against torch where values tie."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from recurra import graph as g
from recurra.graph import Expression
from recurra.graph.expression import walk
from recurra.graph.gradients import RULES, adjoints
from recurra.graph.operations import LEAVES
from recurra.graph.shapes import Shape, shape_of
from support.backward import evaluate
from support.checks import close

SIZES = {"H": 3, "I": 2}
ROWS = 2

a, b = (Expression("state", (), name) for name in "ab")  # (B, H)
x = Expression("input", (), "x")  # (B, I)
s = Expression("given", (), "s")  # (B, 1)
v = Expression("parameter", (), "v")  # (H,)
u = Expression("parameter", (), "u")  # (I,)
W = Expression("parameter", (), "W")  # (H, I)
SHAPES: dict[Expression, Shape] = {
    **{a: ("H",), b: ("H",), x: ("I",), s: ()},
    **{v: ("H",), u: ("I",), W: ("H", "I")},
}

# Each operation on values of the step, scalars and weights, each in every place.
CASES: dict[str, list[Expression]] = {
    "add": [a + b, s + a, a + s, a + v, a + a],
    "subtract": [a - b, s - a, a - s, v - a],
    "multiply": [a * b, s * a, a * s, v * a, a * a],
    "divide": [a / (b * b + 1), s / (a * a + 1), a / (s * s + 1), v / (a * a + 1)],
    "maximum": [g.maximum(a, b), g.maximum(a, s), g.maximum(v, a), g.maximum(a, 0.1)],
    "minimum": [g.minimum(a, b), g.minimum(s, a), g.minimum(a, v), g.minimum(0.1, a)],
    "greater": [(a > b) * a, (s > a) * s, (a > 0.2) * b],
    "where": [g.where(a > 0, b, s), g.where(s > 0, a, v), g.where(b > 0, 0.5, a * b)],
    "negate": [-a, -(s * a)],
    "exp": [g.exp(a), g.exp(s) * a],
    "log": [g.log(a * a + 0.5), g.log(s * s + 0.5) * a],
    "sqrt": [g.sqrt(a * a + 0.5), g.sqrt(s * s + 0.5) * a],
    "tanh": [g.tanh(a), g.tanh(s) * a],
    "sigmoid": [g.sigmoid(a), g.sigmoid(s) * a],
    "relu": [g.relu(a), g.relu(s) * a],
    "softplus": [g.softplus(a), g.softplus(30 * a)],
    "floor": [g.floor(3 * a) * b, g.floor(s) + a],
    "sum": [g.sum(a) * b, g.sum(a * b) * a, g.sum(v) * a],
    "mean": [g.mean(a) * b, g.mean(x) * a, g.mean(a * a) - s + a],
    "max": [g.max(a) * b, g.max(a * b + v) * a],
    "spread": [Expression("spread", (s,), "H") * a, Expression("spread", (g.sum(x),), "H")],
    "matmul": [W @ x, W @ (x * g.sum(a)), (W * 2) @ x],
    "transpose": [g.transpose(W) @ a, g.transpose(g.transpose(W)) @ x],
    "outer": [Expression("outer", (v, u)), Expression("outer", (v * v, u))],  # of sums over rows
}
ALL = [(op, k) for op, cases in CASES.items() for k in range(len(cases))]


def by_rules(root: Expression) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """A function of torch whose backward pass runs the gradient rules, and its operands."""
    order = walk((root,))
    leaves = [node for node in order if node in SHAPES]
    shapes = shape_of((root,), SHAPES)
    seed = Expression("input", (), "seed")
    shapes[seed] = shapes[root]
    found = adjoints(order, {root: seed}, shapes)

    class ByRules(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *values: Tensor) -> Tensor:
            ctx.save_for_backward(*values)
            known = dict(zip(leaves, values, strict=True))
            return evaluate((root,), known, SIZES, shapes)[root]

        @staticmethod
        def backward(ctx: Any, *gradient: Tensor) -> Any:
            known = dict(zip(leaves, ctx.saved_tensors, strict=True)) | {seed: gradient[0]}
            roots = [found[leaf] for leaf in leaves if leaf in found]
            values = evaluate(roots, known, SIZES, shapes)
            return tuple(
                fitted(values[found[leaf]], known[leaf]) if leaf in found else None
                for leaf in leaves
            )

    generator = torch.Generator().manual_seed(7)
    values = []
    for leaf in leaves:
        rows = () if leaf.op == "parameter" else (ROWS,)
        size = (*rows, *([SIZES[letter] for letter in SHAPES[leaf]] or [1]))
        values.append(torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_())
    return ByRules.apply, tuple(values)


def fitted(gradient: Tensor, value: Tensor) -> Tensor:
    """The gradient of a weight, which every row adds to."""
    if gradient.dim() > value.dim():
        return gradient.sum(0)
    return gradient.expand_as(value)


def test_every_operation_is_checked() -> None:
    assert set(CASES) == set(RULES) - LEAVES
    for op, cases in CASES.items():
        assert all(op in {node.op for node in walk((case,))} for case in cases)


@pytest.mark.parametrize(("op", "k"), ALL)
def test_rule_agrees_with_numeric_gradients(op: str, k: int) -> None:
    function, values = by_rules(CASES[op][k])
    assert gradcheck(function, values)


@pytest.mark.parametrize(("op", "k"), ALL)
def test_rule_can_be_differentiated_again(op: str, k: int) -> None:
    function, values = by_rules(CASES[op][k])
    out = function(*values)
    assert gradgradcheck(function, values, torch.randn_like(out).requires_grad_())


TIED = torch.tensor([[1.0, 1.0, -2.0], [0.0, 0.5, 0.5]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("root", "theirs"),
    [
        (g.maximum(a, b), torch.maximum),
        (g.minimum(a, b), torch.minimum),
        (g.maximum(a, a), lambda p: torch.maximum(p, p)),
        (g.relu(a), torch.relu),
        (g.max(a) * b, lambda p, q: p.amax(-1, keepdim=True) * q),
        (g.floor(a) * b, lambda p, q: torch.floor(p) * q),
    ],
)
def test_ties_are_shared_as_in_torch(root: Expression, theirs: Callable[..., Tensor]) -> None:
    function, values = by_rules(root)
    tied = tuple(TIED.clone().requires_grad_() for _ in values)
    weight = torch.arange(1.0, 7.0, dtype=torch.float64).view(2, 3)
    ours = torch.autograd.grad((function(*tied) * weight).sum(), tied, materialize_grads=True)
    expected = torch.autograd.grad((theirs(*tied) * weight).sum(), tied, materialize_grads=True)
    for one, other in zip(ours, expected, strict=True):
        close(one, other)

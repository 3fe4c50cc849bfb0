"""The cells that are timed: those of the registry, and two that only torchrecurrent has beside us.

Both are written as torchrecurrent computes them, biases included.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from recurra import cells
from recurra.graph import Cell, as_cell, sigmoid, tanh


def mut1(p: Any, x: Any, h: Any) -> Any:
    """The first mutant of Jozefowicz, Zaremba & Sutskever 2015, with a matrix before tanh(x)."""
    z = sigmoid(p.W_z @ x + p.b_z)
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    m = tanh(p.W_n @ x + p.b_n)
    n = tanh(p.U_n @ (r * h) + m + p.c_n)
    return z * n + (1 - z) * h


def cfn(p: Any, x: Any, h: Any) -> Any:
    """The chaos-free network of Laurent & von Brecht 2016, arXiv:1612.06212."""
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    g = tanh(p.W_g @ x + p.b_g)
    return f * tanh(h) + i * g


OWN = {"mut1": mut1, "cfn": cfn}


def names() -> tuple[str, ...]:
    """All cells that can be timed."""
    return tuple(dict.fromkeys((*cells.names(), *OWN)))


@cache
def get(name: str) -> Cell:
    """A cell by name; `mut1` and `cfn` are those of this file."""
    return as_cell(OWN[name]) if name in OWN else cells.get(name)

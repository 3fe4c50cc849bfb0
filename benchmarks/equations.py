"""The cells that are timed: those of the registry, and two as torchrecurrent computes them.

A peer is timed only if it computes the same, and these have biases that their papers do not have.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from recurra import cells
from recurra.graph import Cell, as_cell, sigmoid, tanh


def mut1_biased(p: Any, x: Any, h: Any) -> Any:
    """MUT1 of Jozefowicz, Zaremba & Sutskever 2015, but tanh(W x + b) where it has tanh(x)."""
    z = sigmoid(p.W_z @ x + p.b_z)
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    m = tanh(p.W_n @ x + p.b_n)
    n = tanh(p.U_n @ (r * h) + m + p.c_n)
    return z * n + (1 - z) * h


def cfn_biased(p: Any, x: Any, h: Any) -> Any:
    """CFN of Laurent & von Brecht 2016, arXiv:1612.06212, but tanh(W x + b) for tanh(W x)."""
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    g = tanh(p.W_g @ x + p.b_g)
    return f * tanh(h) + i * g


OWN = {"mut1_biased": mut1_biased, "cfn_biased": cfn_biased}


def names() -> tuple[str, ...]:
    """All cells that can be timed."""
    return tuple(dict.fromkeys((*cells.names(), *OWN)))


@cache
def get(name: str) -> Cell:
    """A cell by name, of the registry or of this file."""
    return as_cell(OWN[name]) if name in OWN else cells.get(name)

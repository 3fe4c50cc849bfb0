"""Gated unit found by a search over architectures, MUT1. Jozefowicz et al. 2015, ICML 37.

The paper adds x itself, so x needs as many features as there are units. Libraries that put a
matrix before it compute another cell.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2015,
    shapes={"x": "H"},
    purpose="found by a search: better than the GRU on some tasks of its paper, not on all",
    cite="jozefowicz2015",
)
def mut1(p, x, h):
    z = sigmoid(p.W_z @ x + p.b_z)
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    n = tanh(p.U_n @ (r * h) + tanh(x) + p.b_n)
    h = z * n + (1 - z) * h
    return h

"""Gated unit found by a search over architectures, MUT1. Jozefowicz et al. 2015, ICML 37.

The paper prints tanh(x), which asks for as many features as units; ours puts a matrix before x.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2015,
    purpose="arithmetic and markup, where it beat the GRU",
    cite="jozefowicz2015",
)
def mut1(p, x, h):
    z = sigmoid(p.W_z @ x + p.b_z)
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    n = tanh(p.U_n @ (r * h) + tanh(p.W_n @ x) + p.b_n)
    h = z * n + (1 - z) * h
    return h

"""Gated unit found by a search over architectures, MUT2. Jozefowicz et al. 2015, ICML 37.

The paper prints x alone in r, which asks for as many features as units; ours puts a matrix before
x, and so is the GRU with its reset before the product, its z read the other way round.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2015,
    purpose="a gated unit to compare the GRU with",
    cite="jozefowicz2015",
)
def mut2(p, x, h):
    z = sigmoid(p.W_z @ x + p.U_z @ h + p.b_z)
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    n = tanh(p.U_n @ (r * h) + p.W_n @ x + p.b_n)
    h = z * n + (1 - z) * h
    return h

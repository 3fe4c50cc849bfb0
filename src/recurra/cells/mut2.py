"""Gated unit found by a search over architectures, MUT2. Jozefowicz et al. 2015, ICML 37.

The paper adds x itself, so x needs as many features as there are units. With a matrix
before it, as in some libraries, it is the GRU.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2015,
    shapes={"x": "H"},
    purpose="a gated unit to compare the GRU with",
    cite="jozefowicz2015",
)
def mut2(p, x, h):
    z = sigmoid(p.W_z @ x + p.U_z @ h + p.b_z)
    r = sigmoid(x + p.U_r @ h + p.b_r)
    n = tanh(p.U_n @ (r * h) + p.W_n @ x + p.b_n)
    h = z * n + (1 - z) * h
    return h

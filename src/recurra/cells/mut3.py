"""Gated unit found by a search over architectures, MUT3. Jozefowicz et al. 2015, ICML 37."""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2015,
    purpose="a gated unit whose update gate sees h squashed",
    cite="jozefowicz2015",
)
def mut3(p, x, h):
    z = sigmoid(p.W_z @ x + p.U_z @ tanh(h) + p.b_z)
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    n = tanh(p.U_n @ (r * h) + p.W_n @ x + p.b_n)
    h = z * n + (1 - z) * h
    return h

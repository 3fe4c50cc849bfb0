"""Minimal gated unit whose gate does not read x and the bias. Heck & Salem 2017.

arXiv:1701.03452, variant MGU2.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2017,
    purpose="a gated unit with few weights, the best of the three in its paper",
    cite="heck2017",
)
def mgu2(p, x, h):
    f = sigmoid(p.U_f @ h)
    n = tanh(p.W_n @ x + p.U_n @ (f * h) + p.b_n)
    h = (1 - f) * h + f * n
    return h

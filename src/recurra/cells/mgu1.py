"""Minimal gated unit whose gate does not read x. Heck & Salem 2017.

arXiv:1701.03452, variant MGU1.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2017,
    purpose="a gated unit with few weights",
    cite="heck2017",
)
def mgu1(p, x, h):
    f = sigmoid(p.U_f @ h + p.b_f)
    n = tanh(p.W_n @ x + p.U_n @ (f * h) + p.b_n)
    h = (1 - f) * h + f * n
    return h

"""Minimal gated unit whose gate does not read x and h. Heck & Salem 2017.

arXiv:1701.03452, variant MGU3.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2017,
    purpose="each unit has one rate of change: the smallest of gated units",
    cite="heck2017",
)
def mgu3(p, x, h):
    f = sigmoid(p.b_f)
    n = tanh(p.W_n @ x + p.U_n @ (f * h) + p.b_n)
    h = (1 - f) * h + f * n
    return h

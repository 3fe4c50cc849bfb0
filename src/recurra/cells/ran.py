"""Recurrent additive network. Lee, Levy & Zettlemoyer 2017, arXiv:1705.07393, with tanh."""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2017,
    purpose="states that are weighted sums of the inputs, so that they can be read",
    cite="lee2017",
)
def ran(p, x, h, c):
    n = p.W_n @ x
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    c = i * n + f * c
    h = tanh(c)
    return h, c

"""Long short-term memory with exponential gates, sLSTM of xLSTM. Beck et al. 2024.

arXiv:2405.04517, equations 8-17 with the stabiliser m, one head, a sigmoid forget gate; i and f are
the logarithms of the gates. m changes no result, it keeps numbers small; while nothing is written
(n is 0) d and m are i, so that the first write is 1 and never rounds to 0 / 0.
"""

from recurra.graph import cell, exp, maximum, sigmoid, softplus, tanh, where


@cell(
    state="h, c, n, m",
    year=2024,
    init={"b_f": 3.0},
    purpose="revising what is stored: a gate that can outweigh all that was written before",
    cite="beck2024",
)
def slstm(p, x, h, c, n, m):
    z = tanh(p.W_z @ x + p.U_z @ h + p.b_z)
    i = p.W_i @ x + p.U_i @ h + p.b_i
    f = -softplus(-(p.W_f @ x + p.U_f @ h + p.b_f))
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    d = where(abs(n) > 0, f + m, i)
    m = maximum(d, i)
    c = exp(d - m) * c + exp(i - m) * z
    n = exp(d - m) * n + exp(i - m)
    h = o * (c / n)
    return h, c, n, m

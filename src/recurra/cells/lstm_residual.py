"""Residual long short-term memory. Kim, El-Khamy & Lee 2017, arXiv:1701.03360.

The shortcut from the layer below enters before the output gate, through W_h.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2017,
    init={"b_f": 1.0},
    purpose="deep stacks for speech: a shortcut in depth that leaves the memory alone",
    cite="kim2017",
)
def lstm_residual(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.v_i * c + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.v_f * c + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.v_o * c + p.b_o)
    h = o * (p.R_h @ tanh(c) + p.W_h @ x)
    return h, c

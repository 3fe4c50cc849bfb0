"""Depth-gated long short-term memory. Yao, Cohn, Vylomova, Duh & Dyer 2015, arXiv:1508.03790.

The gate d lets the memory c of the layer below flow in; in the first layer there is none, and c is
that of an LSTM with peepholes. The weights from memories to gates are diagonal.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2015,
    init={"b_f": 1.0},
    purpose="deep stacks: a straight, gated path for memory from layer to layer",
    cite="yao2015",
)
def lstm_depth_gated(p, x, c_below, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.v_i * c + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.v_f * c + p.b_f)
    d = sigmoid(p.W_d @ x + p.v_d * c + p.u_d * c_below + p.b_d)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = d * c_below + f * c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.v_o * c + p.b_o)
    h = o * tanh(c)
    return h, c

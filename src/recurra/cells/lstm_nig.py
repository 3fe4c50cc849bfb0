"""Peephole long short-term memory without an input gate. Greff et al. 2015.

arXiv:1503.04069, variant NIG.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2015,
    init={"b_f": 1.0},
    purpose="measures what the input gate is worth",
    cite="greff2015",
)
def lstm_nig(p, x, h, c):
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.v_f * c + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.v_o * c + p.b_o)
    h = o * tanh(c)
    return h, c

"""Peephole long short-term memory without a forget gate. Greff et al. 2015.

arXiv:1503.04069, variant NFG.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2015,
    purpose="measures what the forget gate is worth; sums without forgetting",
    cite="greff2015",
)
def lstm_nfg(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.v_i * c + p.b_i)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.v_o * c + p.b_o)
    h = o * tanh(c)
    return h, c

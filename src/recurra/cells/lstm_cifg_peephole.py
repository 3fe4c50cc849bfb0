"""Peephole long short-term memory with coupled gates. Greff et al. 2015.

arXiv:1503.04069, variant CIFG. Without peepholes it is `lstm_cifg`.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2015,
    init={"b_i": -1.0},
    purpose="an LSTM with fewer weights: what is written takes the place of what is forgotten",
    cite="greff2015",
)
def lstm_cifg_peephole(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.v_i * c + p.b_i)
    f = 1 - i
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.v_o * c + p.b_o)
    h = o * tanh(c)
    return h, c

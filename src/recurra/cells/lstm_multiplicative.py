"""Multiplicative long short-term memory. Krause, Lu, Murray & Renals 2016, arXiv:1609.07959.

g and h as in an LSTM; some programs leave out the tanh of g and give out tanh(o * c).
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2016,
    init={"b_f": 1.0},
    purpose="text by characters: another transition for each input",
    cite="krause2016",
)
def lstm_multiplicative(p, x, h, c):
    m = (p.W_m @ x) * (p.U_m @ h)
    i = sigmoid(p.W_i @ x + p.U_i @ m + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ m + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ m + p.b_g)
    o = sigmoid(p.W_o @ x + p.U_o @ m + p.b_o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c

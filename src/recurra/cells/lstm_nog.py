"""Peephole long short-term memory without an output gate. Greff et al. 2015.

arXiv:1503.04069, variant NOG.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2015,
    init={"b_f": 1.0},
    purpose="measures what the output gate is worth; its memory is always seen",
    cite="greff2015",
)
def lstm_nog(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.v_i * c + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.v_f * c + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    h = tanh(c)
    return h, c

"""Long short-term memory with working memory connections. Landi, Baraldi, Cornia & Cucchiara 2021.

arXiv:2109.00020: peepholes with full matrices, behind a tanh.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2021,
    init={"b_f": 1.0},
    purpose="gates that see what the memory holds, without the instability of peepholes",
    cite="landi2021",
)
def lstm_working_memory(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + tanh(p.V_i @ c) + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + tanh(p.V_f @ c) + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + tanh(p.V_o @ c) + p.b_o)
    h = o * tanh(c)
    return h, c

"""Long short-term memory that starts with a forget bias of 0. Jozefowicz et al. 2015, ICML 37.

The paper's LSTM; with the bias of 1, its LSTM-b, it is `lstm`.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2015,
    init={"b_f": 0.0},
    purpose="shows how much the forget bias of 1 helps",
    cite="jozefowicz2015",
)
def lstm_forget_zero(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    h = o * tanh(c)
    return h, c

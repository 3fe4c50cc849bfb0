"""Long short-term memory with a forget gate. Gers, Schmidhuber & Cummins 2000.

Without the gate: Hochreiter & Schmidhuber 1997. It is NP in Greff et al. 2015, arXiv:1503.04069,
and, by its forget bias of 1, LSTM-b in Jozefowicz et al. 2015. With tanh, the form of torch and
Keras; the papers of 1997 and 2000 squash as `lstm_1997` does.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2000,
    init={"b_f": 1.0},
    purpose="the first choice for long sequences: a memory that is kept, written and read by gates",
    cite="gers2000, hochreiter1997, jozefowicz2015",
)
def lstm(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c

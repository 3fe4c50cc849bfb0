"""Long short-term memory with coupled input and forget gate. Greff et al. 2015, arXiv:1503.04069.

CIFG, here without peepholes; with them, as in the paper, it is `lstm_cifg_peephole`. The gate f is
computed and i is 1 - f; the paper has it the other way round.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2015,
    init={"b_f": 1.0},
    purpose="an LSTM with three gates' weights: what is forgotten makes room for the new",
    cite="greff2015",
)
def lstm_cifg(p, x, h, c):
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    c = f * c + (1 - f) * g
    h = o * tanh(c)
    return h, c

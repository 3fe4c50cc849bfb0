"""Long short-term memory with a recurrent projection. Sak, Senior & Beaufays 2014, arXiv:1402.1128.

Without peepholes.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2014,
    shapes={"h": "P"},
    init={"b_f": 1.0},
    purpose="a large memory with a small recurrence: speech, large vocabularies",
    cite="sak2014",
)
def lstm_projection(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    c = f * c + i * g
    h = p.R_h @ (o * tanh(c))
    return h, c

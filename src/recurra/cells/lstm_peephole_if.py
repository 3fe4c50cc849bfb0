"""Long short-term memory with peepholes to its input and forget gate only. Gers et al. 2002.

Gers, Schraudolph & Schmidhuber, JMLR 3, 115-143, where all three gates have one.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2002,
    init={"b_f": 1.0},
    purpose="timing, with gates that write and forget by what is kept",
    cite="gers2002",
)
def lstm_peephole_if(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.v_i * c + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.v_f * c + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    h = o * tanh(c)
    return h, c

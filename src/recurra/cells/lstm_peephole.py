"""Long short-term memory with peepholes. Gers, Schraudolph & Schmidhuber 2002, JMLR 3, 115-143.

The form of Greff et al. 2015, ONNX and most libraries: c passes tanh on its way out. The paper of
2002 leaves it as it is, which is `lstm_noaf`. Some texts let the gates read c and not h.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c",
    year=2002,
    init={"b_f": 1.0},
    purpose="timing and counting: the gates see the memory itself",
    cite="gers2002, greff2015",
)
def lstm_peephole(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.v_i * c + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.v_f * c + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.v_o * c + p.b_o)
    h = o * tanh(c)
    return h, c

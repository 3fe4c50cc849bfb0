"""Long short-term memory without a forget gate. Hochreiter & Schmidhuber 1997.

Neural Computation 9(8), equations 1-9, with its two squashing functions; some libraries put tanh in
the place of both.
"""

from recurra.graph import cell, sigmoid


@cell(
    state="h, c",
    year=1997,
    init={"b_i": -1.0, "b_o": -1.0},
    purpose="memory that is never forgotten: counting and adding over a whole sequence",
    cite="hochreiter1997",
)
def lstm_1997(p, x, h, c):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    g = 4 * sigmoid(p.W_g @ x + p.U_g @ h + p.b_g) - 2
    c = c + i * g
    h = o * (2 * sigmoid(c) - 1)
    return h, c

"""Gated recurrent unit told as selective write, read and forget. Khapra 2018, CS7015, lecture 14.

Indian Institute of Technology Madras. The gate o stands in the place of the reset gate, 1 - i in
the place of the forget gate; the candidate g is squashed by the sigmoid.
"""

from recurra.graph import cell, sigmoid


@cell(
    state="s",
    year=2018,
    purpose="following the lecture; as a GRU without negative values",
    cite="khapra2018",
)
def gru_selective(p, x, s):
    o = sigmoid(p.W_o @ x + p.U_o @ s + p.b_o)
    i = sigmoid(p.W_i @ x + p.U_i @ s + p.b_i)
    g = sigmoid(p.W_g @ x + p.U_g @ (o * s) + p.b_g)
    s = (1 - i) * s + i * g
    return s

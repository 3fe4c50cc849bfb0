"""Long short-term memory told as selective write, read and forget. Khapra 2018, CS7015, lecture 14.

Indian Institute of Technology Madras. The candidate g, which the lecture writes as s with a tilde,
and what is written of s are squashed by the sigmoid.
"""

from recurra.graph import cell, sigmoid


@cell(
    state="h, s",
    year=2018,
    purpose="following the lecture; as an LSTM without negative values",
    cite="khapra2018",
)
def lstm_selective(p, x, h, s):
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    g = sigmoid(p.W_g @ x + p.U_g @ h + p.b_g)
    s = f * s + i * g
    h = o * sigmoid(s)
    return h, s

"""Addition-subtraction twin-gated recurrent network. Zhang, Xiong, Su, Lin & Zhang 2018.

arXiv:1810.12546; the p of the paper is v here. As in the paper, without biases.
"""

from recurra.graph import cell, sigmoid


@cell(
    state="h",
    year=2018,
    purpose="few weights: two gates from the sum and the difference of two products",
    cite="zhang2018",
)
def atr(p, x, h):
    v = p.W_v @ x
    q = p.U_q @ h
    i = sigmoid(v + q)
    f = sigmoid(v - q)
    h = i * v + f * h
    return h

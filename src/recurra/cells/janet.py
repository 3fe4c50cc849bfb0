"""JANET, a long short-term memory with only the forget gate. van der Westhuizen & Lasenby 2018.

arXiv:1804.04849, with beta = 1. For sequences of T steps the paper draws b_s as log(U(1, T - 1)).
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2018,
    init={"b_s": 1.0, "b_n": 0.0},
    purpose="long memory with half the weights of an LSTM",
    cite="vanderwesthuizen2018",
)
def janet(p, x, h):
    s = p.W_s @ x + p.U_s @ h + p.b_s
    n = tanh(p.W_n @ x + p.U_n @ h + p.b_n)
    h = sigmoid(s) * h + (1 - sigmoid(s - 1)) * n
    return h

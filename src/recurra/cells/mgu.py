"""Minimal gated unit. Zhou, Wu, Zhang & Zhou 2016, arXiv:1603.09420, equations 6a-6c."""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2016,
    purpose="a GRU with one gate, two thirds of its weights",
    cite="zhou2016",
)
def mgu(p, x, h):
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    n = tanh(p.W_n @ x + p.U_n @ (f * h) + p.b_n)
    h = (1 - f) * h + f * n
    return h

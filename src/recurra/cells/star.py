"""Stackable recurrent cell. Turkoglu, D'Aronco, Wegner & Schindler 2021, arXiv:1911.11033."""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2021,
    purpose="deep stacks: gradients keep their size through layers and time",
    cite="turkoglu2021",
)
def star(p, x, h):
    n = tanh(p.W_n @ x + p.b_n)
    k = sigmoid(p.W_k @ x + p.U_k @ h + p.b_k)
    h = tanh((1 - k) * h + k * n)
    return h

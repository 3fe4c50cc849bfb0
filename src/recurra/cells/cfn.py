"""Chaos-free network. Laurent & von Brecht 2017, A recurrent neural network without chaos.

arXiv:1612.06212; the gates theta and eta of the paper are f and i here.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2017,
    init={"b_f": 1.0, "b_i": -1.0},
    purpose="predictable dynamics: without input its state decays to zero",
    cite="laurent2017",
)
def cfn(p, x, h):
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    h = f * tanh(h) + i * tanh(p.W_h @ x)
    return h

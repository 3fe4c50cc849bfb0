"""Update gate recurrent network. Collins, Sohl-Dickstein & Sussillo 2017, arXiv:1611.09913."""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2017,
    init={"b_g": 1.0},
    purpose="one gate: trains almost as easily as a GRU with two thirds of its weights",
    cite="collins2017",
)
def ugrnn(p, x, h):
    n = tanh(p.W_n @ x + p.U_n @ h + p.b_n)
    g = sigmoid(p.W_g @ x + p.U_g @ h + p.b_g)
    h = g * h + (1 - g) * n
    return h

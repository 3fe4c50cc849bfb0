"""Light gated recurrent unit. Ravanelli, Brakel, Omologo & Bengio 2018, arXiv:1803.10225.

Without the paper's batch normalisation of the input products; biases stand in its place.
"""

from recurra.graph import cell, relu, sigmoid


@cell(
    state="h",
    year=2018,
    init={"W_*": "xavier_uniform", "U_*": "orthogonal", "b_*": 0.0},
    purpose="speech: a GRU without reset gate, with ReLU",
    cite="ravanelli2018",
)
def ligru(p, x, h):
    z = sigmoid(p.W_z @ x + p.U_z @ h + p.b_z)
    n = relu(p.W_n @ x + p.U_n @ h + p.b_n)
    h = z * h + (1 - z) * n
    return h

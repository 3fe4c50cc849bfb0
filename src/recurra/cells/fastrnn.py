"""FastRNN, a residual connection with two trained scalars. Kusupati et al. 2018, arXiv:1901.02358.

The scalars pass a sigmoid and start near 0 and 1, as in the authors' program.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2018,
    shapes={"alpha_h": "", "beta_h": ""},
    init={"alpha_h": -3.0, "beta_h": 3.0},
    purpose="tiny devices: an Elman network with two more weights that trains stably",
    cite="kusupati2018",
)
def fastrnn(p, x, h):
    n = tanh(p.W_n @ x + p.U_n @ h + p.b_n)
    h = sigmoid(p.alpha_h) * n + sigmoid(p.beta_h) * h
    return h

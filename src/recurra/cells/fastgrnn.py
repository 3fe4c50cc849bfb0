"""FastGRNN, a gate from the matrices of the candidate. Kusupati et al. 2018, arXiv:1901.02358.

Full rank, without the sparse factors of the paper. The scalars pass a sigmoid and start as in the
authors' program. The gate z is a sigmoid; some libraries put tanh there by default.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2018,
    shapes={"zeta_h": "", "nu_h": ""},
    init={"zeta_h": 1.0, "nu_h": -4.0},
    purpose="tiny devices: the accuracy of gates for the weights of an Elman network",
    cite="kusupati2018",
)
def fastgrnn(p, x, h):
    s = p.W_s @ x + p.U_s @ h
    z = sigmoid(s + p.b_z)
    n = tanh(s + p.b_n)
    h = (sigmoid(p.zeta_h) * (1 - z) + sigmoid(p.nu_h)) * n + z * h
    return h

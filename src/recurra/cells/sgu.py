"""Simple gated unit. Gao & Glowacka 2016, arXiv:1604.02910.

x_g, z_g and z_out of the paper are a, m and n here. The hard sigmoid is that of Theano and Keras
of the time: slope 0.2, where torch has 1/6.
"""

from recurra.graph import cell, maximum, minimum, softplus, tanh


def hard_sigmoid(a):
    return maximum(0, minimum(1, 0.2 * a + 0.5))


@cell(
    state="h",
    year=2016,
    purpose="one multiplicative gate with fewer weights than a GRU",
    cite="gao2016",
)
def sgu(p, x, h):
    a = p.W_a @ x + p.b_a
    m = tanh(p.U_m @ (a * h))
    n = softplus(m * h)
    z = hard_sigmoid(p.W_z @ x + p.U_z @ h + p.b_z)
    h = (1 - z) * h + z * n
    return h

"""Gated recurrent unit, reset after the product. Cho et al. 2014, arXiv:1406.1078v1.

The form of cuDNN, torch and, by default, Keras. z keeps the old state, as in that paper; in Chung
et al. 2014, arXiv:1412.3555, z lets the new one in.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2014,
    purpose="long sequences with one state: the form with the fastest kernels everywhere",
    cite="cho2014",
)
def gru(p, x, h):
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    z = sigmoid(p.W_z @ x + p.U_z @ h + p.b_z)
    n = tanh(p.W_n @ x + p.b_n + r * (p.U_n @ h + p.c_n))
    h = (1 - z) * n + z * h
    return h

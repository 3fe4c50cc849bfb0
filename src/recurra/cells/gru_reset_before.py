"""Gated recurrent unit, reset before the product. Cho et al. 2014, arXiv:1406.1078v3, eq. 5-8.

Keras has it with reset_after=False, torch has not. z keeps the old state, as in that paper; in
Chung et al. 2014, arXiv:1412.3555, z lets the new one in.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2014,
    purpose="long sequences with one state: the form of most papers",
    cite="cho2014",
)
def gru_reset_before(p, x, h):
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    z = sigmoid(p.W_z @ x + p.U_z @ h + p.b_z)
    n = tanh(p.W_n @ x + p.U_n @ (r * h) + p.b_n)
    h = (1 - z) * n + z * h
    return h

"""Recurrent network of rectified units that starts as the identity. Le, Jaitly & Hinton 2015.

arXiv:1504.00941. The paper draws W_h from a Gaussian with a deviation of 0.001; here it starts as
in any layer.
"""

from recurra.graph import cell, relu


@cell(
    state="h",
    year=2015,
    init={"U_h": "identity", "b_h": 0.0},
    purpose="long memory from plain units: it begins by keeping what it has",
    cite="le2015",
)
def irnn(p, x, h):
    h = relu(p.W_h @ x + p.U_h @ h + p.b_h)
    return h

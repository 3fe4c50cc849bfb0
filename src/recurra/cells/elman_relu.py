"""Simple recurrent network with ReLU. Le, Jaitly & Hinton 2015, arXiv:1504.00941.

Without the identity start of the paper, which is `irnn`.
"""

from recurra.graph import cell, relu


@cell(
    state="h",
    year=2015,
    purpose="a plain recurrent network whose gradient does not saturate",
    cite="le2015",
)
def elman_relu(p, x, h):
    h = relu(p.W_h @ x + p.U_h @ h + p.b_h)
    return h

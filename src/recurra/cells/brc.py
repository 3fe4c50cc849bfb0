"""Bistable recurrent cell. Vecoven, Ernst & Drion 2021, PLOS ONE 16(6), e0252676.

The printed equations have no bias; those of the gates, and the initial values, are from the
authors' program.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2021,
    init={"W_*": "xavier_uniform", "u_*": 1.0, "b_*": 0.0},
    purpose="memory that lasts: each unit holds one of two values for any time, by itself",
    cite="vecoven2021",
)
def brc(p, x, h):
    a = 1 + tanh(p.W_a @ x + p.u_a * h + p.b_a)
    c = sigmoid(p.W_c @ x + p.u_c * h + p.b_c)
    n = tanh(p.W_n @ x + a * h)
    h = c * h + (1 - c) * n
    return h

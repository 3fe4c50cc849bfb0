"""Neuromodulated bistable recurrent cell. Vecoven, Ernst & Drion 2021, PLOS ONE 16(6), e0252676.

The bistable cell whose gates see all units. The printed equations have no bias; those of the gates
are from the authors' program.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2021,
    init={"W_*": "xavier_uniform", "U_*": "orthogonal", "b_*": 0.0},
    purpose="memory that lasts, switched by the other units",
    cite="vecoven2021",
)
def nbrc(p, x, h):
    a = 1 + tanh(p.W_a @ x + p.U_a @ h + p.b_a)
    c = sigmoid(p.W_c @ x + p.U_c @ h + p.b_c)
    n = tanh(p.W_n @ x + a * h)
    h = c * h + (1 - c) * n
    return h

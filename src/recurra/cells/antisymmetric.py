"""Antisymmetric recurrent network. Chang, Chen, Haber & Chi 2019, arXiv:1902.09689.

The step is 0.1 and the diffusion 0.01; the paper tunes both.
"""

from recurra.graph import cell, tanh, transpose


@cell(
    state="h",
    year=2019,
    init={"U_n": "xavier_normal", "b_n": 0.0},
    purpose="long sequences: it neither forgets nor explodes, by the eigenvalues of its matrix",
    cite="chang2019",
)
def antisymmetric(p, x, h):
    n = tanh(p.W_n @ x + (p.U_n - transpose(p.U_n)) @ h - 0.01 * h + p.b_n)
    h = h + 0.1 * n
    return h

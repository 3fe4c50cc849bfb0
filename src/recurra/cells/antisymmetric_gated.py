"""Antisymmetric recurrent network with a gate. Chang, Chen, Haber & Chi 2019, arXiv:1902.09689.

Gate and candidate share the recurrent matrix. The step is 0.1 and the diffusion 0.01; the paper
tunes both.
"""

from recurra.graph import cell, sigmoid, tanh, transpose


@cell(
    state="h",
    year=2019,
    init={"U_a": "xavier_normal", "b_*": 0.0},
    purpose="long sequences in which not every step is worth a change",
    cite="chang2019",
)
def antisymmetric_gated(p, x, h):
    a = (p.U_a - transpose(p.U_a)) @ h - 0.01 * h
    z = sigmoid(p.W_z @ x + a + p.b_z)
    n = tanh(p.W_n @ x + a + p.b_n)
    h = h + 0.1 * z * n
    return h

"""Undamped independent controlled oscillatory recurrent network. Rusch & Mishra 2021.

arXiv:2103.05487. The step is 0.1 and alpha 1; the paper tunes both. u_z and v_z, the paper's w and
c, start as in the authors' program, whose V is an eighth of the one here.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="y, z",
    year=2021,
    init={
        "W_z": "kaiming_uniform",
        "u_z": "uniform 0 1",
        "v_z": "uniform -0.1 0.1",
        "b_z": 0.0,
    },
    purpose="very long sequences: oscillators that keep what they saw, one weight each",
    cite="rusch2021unicornn",
)
def unicornn(p, x, y, z):
    z = z - 0.1 * sigmoid(p.v_z) * (tanh(p.u_z * y + p.W_z @ x + p.b_z) + y)
    y = y + 0.1 * sigmoid(p.v_z) * z
    return y, z

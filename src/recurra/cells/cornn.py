"""Coupled oscillatory recurrent network. Rusch & Mishra 2021, arXiv:2010.00951, equation 3.

The damping is explicit, as in the authors' program. The step 0.042, the frequency 2.7 and the
damping 4.7 are those of sequential MNIST; the paper tunes them for each task.
"""

from recurra.graph import cell, tanh


@cell(
    state="y, z",
    year=2021,
    purpose="long sequences: oscillators with bounded gradients",
    cite="rusch2021cornn",
)
def cornn(p, x, y, z):
    z = z + 0.042 * (tanh(p.W_z @ x + p.U_z @ y + p.V_z @ z + p.b_z) - 2.7 * y - 4.7 * z)
    y = y + 0.042 * z
    return y, z

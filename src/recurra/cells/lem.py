"""Long expressive memory. Rusch, Mishra, Erichson & Mahoney 2022, arXiv:2110.04744, equation 3.

The largest step is 1. The new z enters y, as printed; some libraries take the old one.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="y, z",
    year=2022,
    purpose="long sequences with many time scales, learned for each unit",
    cite="rusch2022",
)
def lem(p, x, y, z):
    a = sigmoid(p.W_a @ x + p.U_a @ y + p.b_a)
    d = sigmoid(p.W_d @ x + p.U_d @ y + p.b_d)
    z = (1 - a) * z + a * tanh(p.W_z @ x + p.U_z @ y + p.b_z)
    y = (1 - d) * y + d * tanh(p.W_y @ x + p.U_y @ z + p.b_y)
    return y, z

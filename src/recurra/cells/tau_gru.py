"""Gated recurrent unit with weighted time-delay feedback (tau-GRU). Erichson, Lim & Mahoney 2022.

arXiv:2212.00228. The delay is 5 steps; the paper tunes it. e_1 to e_5 hold the last states.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, e_1, e_2, e_3, e_4, e_5",
    year=2022,
    purpose="signals with an echo: looks back over a fixed delay at each step",
    cite="erichson2022",
)
def tau_gru(p, x, h, e_1, e_2, e_3, e_4, e_5):
    u = tanh(p.W_u @ x + p.U_u @ h)
    z = tanh(p.W_z @ x + p.U_z @ e_5)
    g = sigmoid(p.W_g @ x + p.U_g @ h)
    a = sigmoid(p.W_a @ x + p.U_a @ h)
    e_1, e_2, e_3, e_4, e_5 = h, e_1, e_2, e_3, e_4
    h = (1 - g) * h + g * (u + a * z)
    return h, e_1, e_2, e_3, e_4, e_5

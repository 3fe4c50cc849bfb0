"""Recurrent highway network, three transitions a step. Zilly et al. 2017.

arXiv:1607.03474, equations 6-9 with the carry gate 1 - t, as in the paper's experiments.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="s",
    year=2017,
    init={"b_t_*": -2.0},
    purpose="as rhn_2, with one more transition between two steps",
    cite="zilly2017",
)
def rhn_3(p, x, s):
    n_1 = tanh(p.W_n_1 @ x + p.U_n_1 @ s + p.b_n_1)
    t_1 = sigmoid(p.W_t_1 @ x + p.U_t_1 @ s + p.b_t_1)
    s_1 = n_1 * t_1 + s * (1 - t_1)
    n_2 = tanh(p.U_n_2 @ s_1 + p.b_n_2)
    t_2 = sigmoid(p.U_t_2 @ s_1 + p.b_t_2)
    s_2 = n_2 * t_2 + s_1 * (1 - t_2)
    n_3 = tanh(p.U_n_3 @ s_2 + p.b_n_3)
    t_3 = sigmoid(p.U_t_3 @ s_2 + p.b_t_3)
    s = n_3 * t_3 + s_2 * (1 - t_3)
    return s

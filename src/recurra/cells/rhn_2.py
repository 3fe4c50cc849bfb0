"""Recurrent highway network, two transitions a step. Zilly, Srivastava, Koutník & Schmidhuber 2017.

arXiv:1607.03474, equations 6-9 with the carry gate 1 - t, as in the paper's experiments. How many
transitions is a cell of its own (`rhn_2`, `rhn_3`): each has its weights.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="s",
    year=2017,
    init={"b_t_*": -2.0},
    purpose="language models with few layers: depth between two steps in the place of depth above",
    cite="zilly2017",
)
def rhn_2(p, x, s):
    n_1 = tanh(p.W_n_1 @ x + p.U_n_1 @ s + p.b_n_1)
    t_1 = sigmoid(p.W_t_1 @ x + p.U_t_1 @ s + p.b_t_1)
    s_1 = n_1 * t_1 + s * (1 - t_1)
    n_2 = tanh(p.U_n_2 @ s_1 + p.b_n_2)
    t_2 = sigmoid(p.U_t_2 @ s_1 + p.b_t_2)
    s = n_2 * t_2 + s_1 * (1 - t_2)
    return s

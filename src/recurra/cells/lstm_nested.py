"""Nested long short-term memory: the memory of the outer one is an inner one.

Moniz & Krueger 2018, arXiv:1801.10308, one level of nesting, tanh throughout.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c, m",
    year=2018,
    init={"b_f": 1.0, "b_f_c": 1.0},
    purpose="memories of two speeds: the inner one is read and written through the outer gates",
    cite="moniz2018",
)
def lstm_nested(p, x, h, c, m):
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.b_o)
    x_c = i * g
    h_c = f * c
    i_c = sigmoid(p.V_i_c @ x_c + p.U_i_c @ h_c + p.b_i_c)
    f_c = sigmoid(p.V_f_c @ x_c + p.U_f_c @ h_c + p.b_f_c)
    g_c = tanh(p.V_g_c @ x_c + p.U_g_c @ h_c + p.b_g_c)
    o_c = sigmoid(p.V_o_c @ x_c + p.U_o_c @ h_c + p.b_o_c)
    m = f_c * m + i_c * g_c
    c = o_c * tanh(m)
    h = o * tanh(c)
    return h, c, m

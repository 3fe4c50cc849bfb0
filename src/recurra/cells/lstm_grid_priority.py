"""Grid LSTM over time and depth, depth last. Kalchbrenner, Danihelka & Graves 2015.

arXiv:1507.01526, in two dimensions: time (h, m), and depth (x, m_d), which goes from layer to layer
and starts as m_d = 0. As printed there are no biases, and tanh is taken of o * m, not of m alone.
Depth, the dimension with priority, reads the new h.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, m",
    year=2015,
    output="y",
    shapes={"m_d_below": "H"},
    purpose="deep stacks where each layer sees what the step has made of its memory",
    cite="kalchbrenner2015",
)
def lstm_grid_priority(p, x, m_d_below, h, m):
    i = sigmoid(p.W_i @ x + p.U_i @ h)
    f = sigmoid(p.W_f @ x + p.U_f @ h)
    g = tanh(p.W_g @ x + p.U_g @ h)
    o = sigmoid(p.W_o @ x + p.U_o @ h)
    m = f * m + i * g
    h = tanh(o * m)
    i_d = sigmoid(p.W_i_d @ x + p.U_i_d @ h)
    f_d = sigmoid(p.W_f_d @ x + p.U_f_d @ h)
    g_d = tanh(p.W_g_d @ x + p.U_g_d @ h)
    o_d = sigmoid(p.W_o_d @ x + p.U_o_d @ h)
    m_d = f_d * m_d_below + i_d * g_d
    y = tanh(o_d * m_d)
    return h, m

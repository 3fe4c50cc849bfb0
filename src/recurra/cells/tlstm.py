"""Strongly typed long short-term memory (T-LSTM). Balduzzi & Ghifary 2016, arXiv:1602.02218.

The states s_* keep the products of V_* with this step's input for the next step.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="c, s_z, s_f, s_o",
    year=2016,
    output="h",
    purpose="speed and analysis: an LSTM whose gates read two inputs and no state",
    cite="balduzzi2016",
)
def tlstm(p, x, c, s_z, s_f, s_o):
    z = p.W_z @ x + s_z + p.b_z
    f = sigmoid(p.W_f @ x + s_f + p.b_f)
    o = tanh(p.W_o @ x + s_o + p.b_o)
    c = f * c + (1 - f) * z
    h = c * o
    s_z = p.V_z @ x
    s_f = p.V_f @ x
    s_o = p.V_o @ x
    return c, s_z, s_f, s_o

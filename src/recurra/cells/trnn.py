"""Strongly typed recurrent network (T-RNN). Balduzzi & Ghifary 2016, arXiv:1602.02218."""

from recurra.graph import cell, sigmoid


@cell(
    state="h",
    year=2016,
    purpose="speed and analysis: gates read the input alone, so the time loop is a scan",
    cite="balduzzi2016",
)
def trnn(p, x, h):
    z = p.W_z @ x
    f = sigmoid(p.W_f @ x + p.b_f)
    h = f * h + (1 - f) * z
    return h

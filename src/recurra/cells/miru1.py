"""Minion recurrent unit with a reset gate (MiRU-1). Zyarah & Kudithipudi 2025, arXiv:2503.06175.

The update coefficient lambda is 0.5; the paper tunes it.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2025,
    purpose="edge devices: a GRU whose update gate is a number",
    cite="zyarah2025",
)
def miru1(p, x, h):
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.b_r)
    n = tanh(p.W_n @ x + p.U_n @ (r * h) + p.b_n)
    h = 0.5 * h + 0.5 * n
    return h

"""Minion recurrent unit without gates (MiRU-2). Zyarah & Kudithipudi 2025, arXiv:2503.06175.

The update coefficient lambda and the reset coefficient beta are 0.5; the paper tunes both.
"""

from recurra.graph import cell, tanh


@cell(
    state="h",
    year=2025,
    purpose="edge devices: a GRU whose two gates are numbers, a third of the weights",
    cite="zyarah2025",
)
def miru2(p, x, h):
    n = tanh(p.W_n @ x + p.U_n @ (0.5 * h) + p.b_n)
    h = 0.5 * h + 0.5 * n
    return h

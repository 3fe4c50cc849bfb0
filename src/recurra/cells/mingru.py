"""Minimal gated recurrent unit without recurrent products, minGRU. Feng et al. 2024.

arXiv:2410.01201, section 3.1. The candidate is linear; the form in logarithms has another one.
"""

from recurra.graph import cell, sigmoid


@cell(
    state="h",
    year=2024,
    purpose="speed and few weights: the gate sees x only, so that the state is a weighted sum",
    cite="feng2024",
)
def mingru(p, x, h):
    z = sigmoid(p.W_z @ x + p.b_z)
    n = p.W_n @ x + p.b_n
    h = (1 - z) * h + z * n
    return h

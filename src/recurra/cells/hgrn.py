"""Recurrence of the hierarchically gated recurrent network, HGRN. Qin, Yang & Zhong 2023.

arXiv:2311.04823, section 3.2 and figure 1, the complex state as its real part h and imaginary part
m; h is given out. A turn by the angle theta is written by v_s = tan(theta / 2). The lower bound of
the forget gate is a weight of each layer; in the paper it grows from layer to layer.
"""

from recurra.graph import cell, sigmoid


def silu(a):
    return a * sigmoid(a)


@cell(
    state="h, m",
    year=2023,
    purpose="long sequences: gates that see x only, with a bound below which nothing is forgotten",
    cite="qin2023",
)
def hgrn(p, x, h, m):
    g = sigmoid(p.b_g)
    f = g + (1 - g) * sigmoid(p.W_f @ x + p.b_f)
    n = silu(p.W_n @ x + p.b_n)
    e = silu(p.W_e @ x + p.b_e)
    s = p.v_s * p.v_s
    cosine = (1 - s) / (1 + s)
    sine = 2 * p.v_s / (1 + s)
    turned_h = cosine * h - sine * m
    turned_m = sine * h + cosine * m
    h = f * turned_h + (1 - f) * n
    m = f * turned_m + (1 - f) * e
    return h, m

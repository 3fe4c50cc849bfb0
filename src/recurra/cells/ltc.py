"""Liquid time-constant network. Hasani, Lechner, Amini, Rus & Grosu 2021, arXiv:2006.04439.

Algorithm 1: six rounds of the fused solver over one unit of time. f is a sigmoid where the paper
writes tanh, so that no divisor passes zero; softplus(v_g) is 1 / tau.
"""

from recurra.graph import cell, sigmoid, softplus


def advance(h, f, g, a):
    return (h + f * a / 6) / (1 + (g + f) / 6)


@cell(
    state="h",
    year=2021,
    purpose="signals of physical systems: a unit's time constant depends on what it reads",
    cite="hasani2021",
)
def ltc(p, x, h):
    g = softplus(p.v_g)
    s = p.W_s @ x + p.b_s
    h_1 = advance(h, sigmoid(s + p.U_s @ h), g, p.v_h)
    h_2 = advance(h_1, sigmoid(s + p.U_s @ h_1), g, p.v_h)
    h_3 = advance(h_2, sigmoid(s + p.U_s @ h_2), g, p.v_h)
    h_4 = advance(h_3, sigmoid(s + p.U_s @ h_3), g, p.v_h)
    h_5 = advance(h_4, sigmoid(s + p.U_s @ h_4), g, p.v_h)
    h = advance(h_5, sigmoid(s + p.U_s @ h_5), g, p.v_h)
    return h

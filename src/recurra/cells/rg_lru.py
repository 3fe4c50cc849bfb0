"""Real-gated linear recurrent unit, RG-LRU. De et al. 2024, arXiv:2402.19427, equations 1-4.

c is 8. The decay is written as in the paper's appendix, exp(-c softplus(v_a) r), whose v_a has the
opposite sign of equation 3's. A matrix W_u leads x to the units, as the layer before it does. V_r
and V_i are full; in the authors' program they have blocks on the diagonal only. At the start
exp(-c softplus(v_a)) lies between 0.9 and 0.999, as in the paper; in that program it is the decay
without c that does.
"""

from recurra.graph import cell, exp, sigmoid, softplus, sqrt


@cell(
    state="h",
    year=2024,
    init={"v_a": "uniform -9 -4.3"},
    purpose="long sequences at low cost: a decay for each unit, slowed down by what is read",
    cite="de2024",
)
def rg_lru(p, x, h):
    u = p.W_u @ x
    r = sigmoid(p.V_r @ u + p.b_r)
    i = sigmoid(p.V_i @ u + p.b_i)
    a = exp(-8 * softplus(p.v_a) * r)
    h = a * h + sqrt(1 - a * a) * (i * u)
    return h

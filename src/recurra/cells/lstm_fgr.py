"""Peephole long short-term memory with full gate recurrence. Greff et al. 2015.

arXiv:1503.04069, variant FGR: every gate also reads the three gates of the step before. Ri_f leads
from i to f; k, q and r are what i, f and o read of them.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h, c, i, f, o",
    year=2015,
    init={"b_f": 1.0},
    purpose="measures what recurrence between gates, as in the LSTM of 1997, is worth",
    cite="greff2015",
)
def lstm_fgr(p, x, h, c, i, f, o):
    k = p.Ri_i @ i + p.Rf_i @ f + p.Ro_i @ o
    q = p.Ri_f @ i + p.Rf_f @ f + p.Ro_f @ o
    r = p.Ri_o @ i + p.Rf_o @ f + p.Ro_o @ o
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.v_i * c + k + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.v_f * c + q + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    c = f * c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.v_o * c + r + p.b_o)
    h = o * tanh(c)
    return h, c, i, f, o

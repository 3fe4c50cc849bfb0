"""Phased long short-term memory: a unit moves only while its gate of time k is open.

Neil, Pfeiffer & Liu 2016, arXiv:1610.09513, on the index t of the step. A period is
exp(b_tau) and a shift a share v_phi of it, so that a period stays positive; 5 % of it is open and
the leak is 0.001, in evaluation too. The output gate looks at the proposed memory g_c.
"""

from recurra.graph import cell, exp, floor, sigmoid, tanh, where


@cell(
    state="h, c",
    year=2016,
    init={"b_f": 1.0, "b_tau": "uniform 0 3", "v_phi": "uniform 0 1"},
    purpose="long sequences that are sampled fast: most units rest in most steps",
    cite="neil2016",
)
def lstm_phased(p, x, t, h, c):
    tau = exp(p.b_tau)
    s = t / tau - p.v_phi
    phi = s - floor(s)
    k = where(phi < 0.025, phi / 0.025, where(phi < 0.05, 2 - phi / 0.025, 0.001 * phi))
    i = sigmoid(p.W_i @ x + p.U_i @ h + p.v_i * c + p.b_i)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.v_f * c + p.b_f)
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    g_c = f * c + i * g
    o = sigmoid(p.W_o @ x + p.U_o @ h + p.v_o * g_c + p.b_o)
    c = k * g_c + (1 - k) * c
    h = k * (o * tanh(g_c)) + (1 - k) * h
    return h, c

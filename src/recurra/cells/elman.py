"""Simple recurrent network with tanh. Elman 1990, Finding structure in time, Cogn. Sci. 14.

The form of torch and Keras; the paper's units are logistic, between 0 and 1.
"""

from recurra.graph import cell, tanh


@cell(
    state="h",
    year=1990,
    purpose="the plain recurrent network: short memory, few weights, a baseline",
    cite="elman1990",
)
def elman(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h + p.b_h)
    return h

"""Simple recurrent unit. Lei, Zhang, Wang, Dai & Artzi 2018, arXiv:1709.02755.

The highway reads W_s x in the place of the scaled x, so that x may have another size than h.
"""

from recurra.graph import cell, sigmoid


@cell(
    state="c",
    output="h",
    year=2018,
    purpose="speed: no product waits for the step before, only elementwise work does",
    cite="lei2018",
)
def sru(p, x, c):
    f = sigmoid(p.W_f @ x + p.v_f * c + p.b_f)
    r = sigmoid(p.W_r @ x + p.v_r * c + p.b_r)
    n = p.W_n @ x
    s = p.W_s @ x
    c = f * c + (1 - f) * n
    h = r * c + (1 - r) * s
    return c

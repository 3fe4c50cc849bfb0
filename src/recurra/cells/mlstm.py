"""Long short-term memory with a matrix memory, mLSTM of xLSTM. Beck et al. 2024, arXiv:2405.04517.

Equations 19-27 for one head, with the stabiliser m of equations 15-17; i and f are the logarithms
of the gates, the forget gate a sigmoid. The paper bounds the divisor by 1 without a stabiliser,
which is exp(-m) with it: m changes no result. r_k is the square root of the size of a key, H.
"""

from recurra.graph import cell, exp, maximum, outer, sigmoid, softplus, sum


@cell(
    state="C, n, m",
    output="h",
    year=2024,
    shapes={"C": "H H", "m": "", "b_i": "", "b_f": "", "r_k": ""},
    fixed={"r_k": lambda sizes: sizes["H"] ** 0.5},
    init={"w_[if]": 0.0, "b_i": 0.0, "b_f": 3.0},
    purpose="recall of many pairs of key and value: a memory as large as a matrix",
    cite="beck2024",
)
def mlstm(p, x, C, n, m):
    q = p.W_q @ x + p.b_q
    k = p.W_k @ x / p.r_k + p.b_k
    v = p.W_v @ x + p.b_v
    i = sum(p.w_i * x) + p.b_i
    f = -softplus(-(sum(p.w_f * x) + p.b_f))
    o = sigmoid(p.W_o @ x + p.b_o)
    d = f + m
    m = maximum(d, i)
    C = exp(d - m) * C + exp(i - m) * outer(v, k)
    n = exp(d - m) * n + exp(i - m) * k
    h = o * (C @ q) / maximum(abs(sum(n * q)), exp(-m))
    return C, n, m

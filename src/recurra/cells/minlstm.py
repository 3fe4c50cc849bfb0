"""Long short-term memory without recurrent products, minLSTM. Feng et al. 2024.

arXiv:2410.01201, section 3.2, with both gates divided by their sum; a share is a sigmoid of d, the
difference of their logarithms, as two gates that are both 0 cannot be divided by their sum. The
candidate is linear.
"""

from recurra.graph import cell, sigmoid, softplus


@cell(
    state="h",
    year=2024,
    purpose="as mingru, with two gates whose shares add up to one",
    cite="feng2024",
)
def minlstm(p, x, h):
    d = softplus(-(p.W_i @ x + p.b_i)) - softplus(-(p.W_f @ x + p.b_f))
    f = sigmoid(d)
    i = sigmoid(-d)
    n = p.W_n @ x + p.b_n
    h = f * h + i * n
    return h

"""Long short-term memory without recurrent products, minLSTM. Feng et al. 2024.

arXiv:2410.01201, section 3.2, with both gates divided by their sum. The candidate is linear.
"""

from recurra.graph import cell, sigmoid


@cell(
    state="h",
    year=2024,
    purpose="as mingru, with two gates whose shares add up to one",
    cite="feng2024",
)
def minlstm(p, x, h):
    f = sigmoid(p.W_f @ x + p.b_f)
    i = sigmoid(p.W_i @ x + p.b_i)
    n = p.W_n @ x + p.b_n
    h = f / (f + i) * h + i / (f + i) * n
    return h

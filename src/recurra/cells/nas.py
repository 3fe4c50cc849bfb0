"""Cell found by neural architecture search. Zoph & Le 2017, arXiv:1611.01578, figure 8.

As in the paper and in TensorFlow's NASCell, the two products of e are multiplied, not added, and
there is no bias; some libraries add them.
"""

from recurra.graph import cell, relu, sigmoid, tanh


@cell(
    state="h, c",
    year=2017,
    purpose="language models; found by a search for perplexity on Penn Treebank",
    cite="zoph2017",
)
def nas(p, x, h, c):
    a = sigmoid(p.W_a @ x + p.U_a @ h)
    b = relu(p.W_b @ x + p.U_b @ h)
    d = sigmoid(p.W_d @ x + p.U_d @ h)
    e = relu((p.W_e @ x) * (p.U_e @ h))
    f = tanh(p.W_f @ x + p.U_f @ h)
    g = sigmoid(p.W_g @ x + p.U_g @ h)
    i = tanh(p.W_i @ x + p.U_i @ h)
    j = sigmoid(p.W_j @ x + p.U_j @ h)
    k = tanh(tanh(a * b) + c)
    c = k * tanh(d + e)
    m = tanh(tanh(f * g) + sigmoid(i + j))
    h = tanh(c * m)
    return h, c

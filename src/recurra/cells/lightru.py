"""Light recurrent unit. Ye, Zhang, Liu, Li, Chang & Zheng 2024, Electronics 13(16), 3204.

The candidate has no bias.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2024,
    purpose="few weights: one gate, and a candidate of the input alone",
    cite="ye2024",
)
def lightru(p, x, h):
    n = tanh(p.W_n @ x)
    f = sigmoid(p.W_f @ x + p.U_f @ h + p.b_f)
    h = (1 - f) * h + f * n
    return h

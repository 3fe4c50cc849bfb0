"""MinimalRNN. Chen 2017, arXiv:1711.06788.

The map of the input is one layer with tanh.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2017,
    purpose="states that stay in the space of the inputs, so that they can be read",
    cite="chen2017",
)
def minimal_rnn(p, x, h):
    z = tanh(p.W_z @ x + p.b_z)
    u = sigmoid(p.U_u @ h + p.V_u @ z + p.b_u)
    h = u * h + (1 - u) * z
    return h

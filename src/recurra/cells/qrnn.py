"""Quasi-recurrent network with a window of two. Bradbury, Merity, Xiong & Socher 2017.

arXiv:1611.01576, equations 2 and 4 (fo-pooling). The products with the x of the step before are
states (a_z, a_f, a_o), zero in the first step as the padding of the paper's convolution is.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="c, a_z, a_f, a_o",
    output="h",
    year=2017,
    purpose="speed where neighbours matter: a convolution over time, then only elementwise work",
    cite="bradbury2017",
)
def qrnn(p, x, c, a_z, a_f, a_o):
    z = tanh(a_z + p.W_z @ x)
    f = sigmoid(a_f + p.W_f @ x)
    o = sigmoid(a_o + p.W_o @ x)
    c = f * c + (1 - f) * z
    h = o * c
    a_z = p.V_z @ x
    a_f = p.V_f @ x
    a_o = p.V_o @ x
    return c, a_z, a_f, a_o

"""Intersection network (+RNN). Collins, Sohl-Dickstein & Sussillo 2017, arXiv:1611.09913.

The output y is mixed from x, so a layer has as many units as features.
"""

from recurra.graph import cell, relu, sigmoid, tanh


@cell(
    state="h",
    year=2017,
    output="y",
    shapes={"x": "H"},
    init={"b_g_*": 1.0},
    purpose="deep stacks: gates in depth and in time, easy to train",
    cite="collins2017",
)
def intersection_rnn(p, x, h):
    y_in = relu(p.W_y_in @ x + p.U_y_in @ h + p.b_y_in)
    h_in = tanh(p.W_h_in @ x + p.U_h_in @ h + p.b_h_in)
    g_y = sigmoid(p.W_g_y @ x + p.U_g_y @ h + p.b_g_y)
    g_h = sigmoid(p.W_g_h @ x + p.U_g_h @ h + p.b_g_h)
    y = g_y * x + (1 - g_y) * y_in
    h = g_h * h + (1 - g_h) * h_in
    return h

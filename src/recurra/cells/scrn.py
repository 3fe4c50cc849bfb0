"""Structurally constrained recurrent network. Mikolov, Joulin, Chopra, Mathieu & Ranzato 2014.

arXiv:1412.7753, without the softmax: y goes to it. The slow units s keep 0.95 of
their value, as in the paper, and are as many as those of h. h is fed back, y is not.
"""

from recurra.graph import cell, sigmoid


@cell(
    state="h, s",
    year=2014,
    output="y",
    purpose="text: slow units beside an Elman network hold the topic",
    cite="mikolov2014",
)
def scrn(p, x, h, s):
    s = 0.05 * (p.W_s @ x) + 0.95 * s
    h = sigmoid(p.V_h @ s + p.W_h @ x + p.U_h @ h)
    y = p.U_y @ h + p.V_y @ s
    return h, s

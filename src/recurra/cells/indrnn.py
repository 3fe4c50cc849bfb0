"""Independently recurrent network. Li, Li, Cook, Zhu & Gao 2018, arXiv:1803.04831.

With ReLU, where some libraries put tanh by default. The paper starts u_h anywhere between 0 and 1;
here it starts at the upper end.
"""

from recurra.graph import cell, relu


@cell(
    state="h",
    year=2018,
    init={"u_h": 1.0},
    purpose="very long sequences and deep stacks: each unit remembers by itself",
    cite="li2018",
)
def indrnn(p, x, h):
    h = relu(p.W_h @ x + p.u_h * h + p.b_h)
    return h

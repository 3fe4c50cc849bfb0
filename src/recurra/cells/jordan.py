"""Jordan network: the outputs are fed back. Jordan 1986, Serial order, ICS report 8604, San Diego.

The context s keeps half of itself and adds the outputs y; many texts leave the first part out. Of
outputs there are as many as hidden units.
"""

from recurra.graph import cell, sigmoid


@cell(
    state="s",
    year=1986,
    output="y",
    purpose="what the network gave out decides what comes next: motion, control",
    cite="jordan1986",
)
def jordan(p, x, s):
    h = sigmoid(p.W_h @ x + p.U_h @ s + p.b_h)
    y = sigmoid(p.U_y @ h + p.b_y)
    s = 0.5 * s + y
    return s

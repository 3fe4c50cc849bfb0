"""Simple gated recurrent network. Zu & Wei 2021, IET Gener. Transm. Distrib. 15(4), 751-761."""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2021,
    purpose="signals of the power grid: one gate, one matrix for the input",
    cite="zu2021",
)
def sgrn(p, x, h):
    a = p.W_a @ x
    f = sigmoid(a + p.U_f @ h + p.b_f)
    h = tanh((1 - f) * a + f * h)
    return h

"""Closed-form continuous-time network. Hasani et al. 2022, arXiv:2106.13898.

For steps one unit of time apart. Each head reads x and h by matrices of its own, where the authors'
code puts a shared hidden layer between; two heads are squashed by tanh as in that code.
"""

from recurra.graph import cell, sigmoid, tanh


@cell(
    state="h",
    year=2022,
    purpose="signals of physical systems at the cost of a gated unit, without a solver",
    cite="hasani2022",
)
def cfc(p, x, h):
    f = p.W_f @ x + p.U_f @ h + p.b_f
    g = tanh(p.W_g @ x + p.U_g @ h + p.b_g)
    n = tanh(p.W_n @ x + p.U_n @ h + p.b_n)
    h = sigmoid(-f) * g + (1 - sigmoid(-f)) * n
    return h

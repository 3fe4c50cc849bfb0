"""Layer-normalised gated recurrent unit. Ba, Kiros & Hinton 2016, arXiv:1607.06450.

As in its supplement, both gates are normalised together, once as read from x, once from h.
Of the paper's offsets that are only ever added, one b_* is left for each gate; c_n is inside the
reset. The update gate is 1 - z of the paper's, as in this library's other GRUs.
"""

from recurra.graph import cell, mean, sigmoid, sqrt, tanh


def mean_of_all(first, *rest):
    return mean(sum(rest, first)) / (1 + len(rest)) if rest else mean(first)


def norm(*parts):
    centre = mean_of_all(*parts)
    deviation = sqrt(mean_of_all(*((a - centre) ** 2 for a in parts)) + 1e-5)
    return [(a - centre) / deviation for a in parts]


@cell(
    state="h",
    year=2016,
    init={"b_*": 0.0, "c_n": 0.0, "w_*": 1.0, "u_*": 1.0},
    purpose="steady training of a GRU, whatever the size of its inputs and batches",
    cite="ba2016",
)
def gru_layernorm(p, x, h):
    x_r, x_z = norm(p.W_r @ x, p.W_z @ x)
    h_r, h_z = norm(p.U_r @ h, p.U_z @ h)
    (x_n,) = norm(p.W_n @ x)
    (h_n,) = norm(p.U_n @ h)
    r = sigmoid(p.w_r * x_r + p.u_r * h_r + p.b_r)
    z = sigmoid(p.w_z * x_z + p.u_z * h_z + p.b_z)
    n = tanh(p.w_n * x_n + p.b_n + r * (p.u_n * h_n + p.c_n))
    h = (1 - z) * n + z * h
    return h

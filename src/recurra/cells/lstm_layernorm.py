"""Layer-normalised long short-term memory. Ba, Kiros & Hinton 2016, arXiv:1607.06450.

Equations 20-22: the four gates are normalised together, once as read from x and once as read from
h. Of the paper's offsets and bias, which are only ever added, one b_* is left for each gate.
"""

from recurra.graph import cell, mean, sigmoid, sqrt, tanh


def mean_of_all(first, *rest):
    return mean(sum(rest, first)) / (1 + len(rest)) if rest else mean(first)


def norm(*parts):
    centre = mean_of_all(*parts)
    centred = [a - centre for a in parts]
    deviation = sqrt(mean_of_all(*(a * a for a in centred)) + 1e-5)
    return [a / deviation for a in centred]


@cell(
    state="h, c",
    year=2016,
    init={"b_f": 1.0, "b_[igoc]": 0.0, "w_*": 1.0, "u_*": 1.0, "n_c": 1.0},
    purpose="an LSTM that trains at higher rates and with small batches",
    cite="ba2016",
)
def lstm_layernorm(p, x, h, c):
    x_i, x_f, x_g, x_o = norm(p.W_i @ x, p.W_f @ x, p.W_g @ x, p.W_o @ x)
    h_i, h_f, h_g, h_o = norm(p.U_i @ h, p.U_f @ h, p.U_g @ h, p.U_o @ h)
    i = sigmoid(p.w_i * x_i + p.u_i * h_i + p.b_i)
    f = sigmoid(p.w_f * x_f + p.u_f * h_f + p.b_f)
    g = tanh(p.w_g * x_g + p.u_g * h_g + p.b_g)
    o = sigmoid(p.w_o * x_o + p.u_o * h_o + p.b_o)
    c = f * c + i * g
    (m,) = norm(c)
    h = o * tanh(p.n_c * m + p.b_c)
    return h, c

"""Layer-normalised long short-term memory. Ba, Kiros & Hinton 2016, arXiv:1607.06450, equations 20-22."""

from recurra.graph import cell, mean, sigmoid, sqrt, tanh


def norm(a):
    centred = a - mean(a)
    return centred / sqrt(mean(centred * centred) + 1e-5)


@cell(
    state="h, c", year=2016, init={"b_f": 1.0, "b_[igoc]": 0.0, "w_*": 1.0, "u_*": 1.0, "n_c": 1.0}
)
def lstm_layernorm(p, x, h, c):
    i = sigmoid(p.w_i * norm(p.W_i @ x) + p.u_i * norm(p.U_i @ h) + p.b_i)
    f = sigmoid(p.w_f * norm(p.W_f @ x) + p.u_f * norm(p.U_f @ h) + p.b_f)
    g = tanh(p.w_g * norm(p.W_g @ x) + p.u_g * norm(p.U_g @ h) + p.b_g)
    o = sigmoid(p.w_o * norm(p.W_o @ x) + p.u_o * norm(p.U_o @ h) + p.b_o)
    c = f * c + i * g
    h = o * tanh(p.n_c * norm(c) + p.b_c)
    return h, c

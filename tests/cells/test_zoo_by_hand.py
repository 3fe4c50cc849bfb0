"""Two units by hand for each cell of the zoo: the papers' equations in plain Python arithmetic.

Nothing in them comes from the library. Each function is one step: it takes the weights by name, x
and the states, and gives the output and the new states, as lists with one number per unit.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log, tanh

import pytest
import torch

from recurra.nn import Recurrent
from support.plain import (
    Vector,
    Weights,
    add,
    all_three,
    both,
    candidate,
    dot,
    each,
    gate,
    hard_sigmoid,
    mix,
    sigmoid,
    times,
)

Step = Callable[..., tuple[Vector, tuple[Vector, ...]]]

HAND: dict[str, Step] = {}
INPUTS = ([1.0, -0.5], [-2.0, 0.8], [-0.3, 0.6])
BEFORE = ([0.2, -0.4], [0.5, -0.3], [-0.6, 0.1], [0.7, 0.4], [-0.2, 0.9], [0.3, -0.8])


def step(function: Step) -> Step:
    HAND[function.__name__] = function
    return function


def turned(u: list[Vector], h: Vector) -> Vector:
    """(U - U^T - 0.01) h for two units."""
    free = u[0][1] - u[1][0]
    return [free * h[1] - 0.01 * h[0], -free * h[0] - 0.01 * h[1]]


@step
def antisymmetric(w, x, h):
    inside = add(dot(w["W_n"], x), turned(w["U_n"], h), w["b_n"])
    h = each(lambda h, a: h + 0.1 * tanh(a), h, inside)
    return h, (h,)


@step
def antisymmetric_gated(w, x, h):
    a = turned(w["U_a"], h)
    z = each(sigmoid, add(a, dot(w["W_z"], x), w["b_z"]))
    n = each(tanh, add(a, dot(w["W_n"], x), w["b_n"]))
    h = each(lambda h, z, n: h + 0.1 * z * n, h, z, n)
    return h, (h,)


@step
def atr(w, x, h):
    p, q = dot(w["W_v"], x), dot(w["U_q"], h)
    h = each(lambda p, q, h: sigmoid(p + q) * p + sigmoid(p - q) * h, p, q, h)
    return h, (h,)


def bistable(w, x, h, inside_a, inside_c):
    a = each(lambda s: 1 + tanh(s), add(dot(w["W_a"], x), inside_a, w["b_a"]))
    c = each(sigmoid, add(dot(w["W_c"], x), inside_c, w["b_c"]))
    h = mix(c, h, each(tanh, add(dot(w["W_n"], x), times(a, h))))
    return h, (h,)


@step
def brc(w, x, h):
    return bistable(w, x, h, times(w["u_a"], h), times(w["u_c"], h))


@step
def nbrc(w, x, h):
    return bistable(w, x, h, dot(w["U_a"], h), dot(w["U_c"], h))


@step
def cfn(w, x, h):
    theta, eta, inside = gate(w, "f", x, h), gate(w, "i", x, h), dot(w["W_h"], x)
    h = each(lambda t, h, e, a: t * tanh(h) + e * tanh(a), theta, h, eta, inside)
    return h, (h,)


@step
def cornn(w, x, y, z):
    force = each(tanh, add(all_three(w, "z", x, y), dot(w["V_z"], z)))
    z = each(lambda z, f, y: z + 0.042 * f - 0.042 * 2.7 * y - 0.042 * 4.7 * z, z, force, y)
    y = each(lambda y, z: y + 0.042 * z, y, z)
    return y, (y, z)


def simple_gated(w, x, h, out):
    x_g = add(dot(w["W_a"], x), w["b_a"])
    z_g = each(tanh, dot(w["U_m"], times(x_g, h)))
    z = each(hard_sigmoid, all_three(w, "z", x, h))
    h = mix(z, out(times(z_g, h)), h)
    return h, (h,)


@step
def sgu(w, x, h):
    return simple_gated(w, x, h, lambda a: each(lambda s: log(1 + exp(s)), a))


@step
def dsgu(w, x, h):
    return simple_gated(w, x, h, lambda a: each(sigmoid, dot(w["V_n"], a)))


@step
def fastrnn(w, x, h):
    alpha, beta = sigmoid(w["alpha_h"]), sigmoid(w["beta_h"])
    h = each(lambda n, h: alpha * n + beta * h, candidate(w, "n", x, h), h)
    return h, (h,)


@step
def fastgrnn(w, x, h):
    zeta, nu = sigmoid(w["zeta_h"]), sigmoid(w["nu_h"])
    s = both(w, "s", x, h)
    z, n = each(sigmoid, add(s, w["b_z"])), each(tanh, add(s, w["b_n"]))
    h = each(lambda z, n, h: (zeta * (1 - z) + nu) * n + z * h, z, n, h)
    return h, (h,)


@step
def indrnn(w, x, h):
    h = each(lambda a: max(a, 0.0), add(dot(w["W_h"], x), times(w["u_h"], h), w["b_h"]))
    return h, (h,)


@step
def intersection_rnn(w, x, h):
    y_in = each(lambda a: max(a, 0.0), all_three(w, "y_in", x, h))
    y = mix(gate(w, "g_y", x, h), x, y_in)
    h = mix(gate(w, "g_h", x, h), h, candidate(w, "h_in", x, h))
    return y, (h,)


@step
def ugrnn(w, x, h):
    h = mix(gate(w, "g", x, h), h, candidate(w, "n", x, h))
    return h, (h,)


@step
def janet(w, x, h):
    s, n = all_three(w, "s", x, h), candidate(w, "n", x, h)
    h = each(lambda s, h, n: sigmoid(s) * h + (1 - sigmoid(s - 1)) * n, s, h, n)
    return h, (h,)


@step
def lem(w, x, y, z):
    fast, slow = gate(w, "a", x, y), gate(w, "d", x, y)
    z = mix(fast, candidate(w, "z", x, y), z)
    y = mix(slow, candidate(w, "y", x, z), y)
    return y, (y, z)


@step
def ligru(w, x, h):
    n = each(lambda a: max(a, 0.0), all_three(w, "n", x, h))
    h = mix(gate(w, "z", x, h), h, n)
    return h, (h,)


@step
def lightru(w, x, h):
    h = mix(gate(w, "f", x, h), each(tanh, dot(w["W_n"], x)), h)
    return h, (h,)


@step
def lstm_memory_controller(w, x, v, c):
    n, i, f = candidate(w, "n", x, v), gate(w, "i", x, v), gate(w, "f", x, v)
    c = add(times(f, c), times(i, n))
    h = times(gate(w, "o", x, v), each(tanh, c))
    v = times(gate(w, "m", x, v), each(tanh, c))
    return h, (v, c)


@step
def lstm_multiplicative(w, x, h, c):
    m = times(dot(w["W_m"], x), dot(w["U_m"], h))
    c = add(
        times(gate(w, "f", x, m), c),
        times(gate(w, "i", x, m), candidate(w, "g", x, m)),
    )
    h = times(gate(w, "o", x, m), each(tanh, c))
    return h, (h, c)


@step
def lstm_residual(w, x, h, c):
    i = each(sigmoid, add(all_three(w, "i", x, h), times(w["v_i"], c)))
    f = each(sigmoid, add(all_three(w, "f", x, h), times(w["v_f"], c)))
    c = add(times(f, c), times(i, candidate(w, "g", x, h)))
    o = each(sigmoid, add(all_three(w, "o", x, h), times(w["v_o"], c)))
    h = times(o, add(dot(w["R_h"], each(tanh, c)), dot(w["W_h"], x)))
    return h, (h, c)


@step
def lstm_working_memory(w, x, h, c):
    def sees(name, c):
        seen = each(tanh, dot(w[f"V_{name}"], c))
        return each(sigmoid, add(all_three(w, name, x, h), seen))

    i, f = sees("i", c), sees("f", c)
    c = add(times(f, c), times(i, candidate(w, "g", x, h)))
    h = times(sees("o", c), each(tanh, c))
    return h, (h, c)


@step
def minimal_rnn(w, x, h):
    z = each(tanh, add(dot(w["W_z"], x), w["b_z"]))
    u = each(sigmoid, add(dot(w["U_u"], h), dot(w["V_u"], z), w["b_u"]))
    h = mix(u, h, z)
    return h, (h,)


@step
def miru1(w, x, h):
    n = candidate(w, "n", x, times(gate(w, "r", x, h), h))
    h = mix([0.5, 0.5], h, n)
    return h, (h,)


@step
def miru2(w, x, h):
    h = mix([0.5, 0.5], h, candidate(w, "n", x, times([0.5, 0.5], h)))
    return h, (h,)


@step
def nas(w, x, h, c):
    a, b, d, f, g, i, j = (both(w, name, x, h) for name in "abdfgij")
    e = times(dot(w["W_e"], x), dot(w["U_e"], h))
    left = each(lambda a, b, c: tanh(tanh(sigmoid(a) * max(b, 0)) + c), a, b, c)
    c = each(lambda k, d, e: k * tanh(sigmoid(d) + max(e, 0)), left, d, e)
    third = each(lambda f, g: tanh(tanh(f) * sigmoid(g)), f, g)
    fourth = each(lambda i, j: sigmoid(tanh(i) + sigmoid(j)), i, j)
    h = each(lambda c, k, m: tanh(c * tanh(k + m)), c, third, fourth)
    return h, (h, c)


@step
def ran(w, x, h, c):
    c = add(times(gate(w, "i", x, h), dot(w["W_n"], x)), times(gate(w, "f", x, h), c))
    h = each(tanh, c)
    return h, (h, c)


@step
def scrn(w, x, h, s):
    s = mix([0.95, 0.95], s, dot(w["W_s"], x))
    h = each(sigmoid, add(dot(w["V_h"], s), both(w, "h", x, h)))
    return add(dot(w["U_y"], h), dot(w["V_y"], s)), (h, s)


@step
def sgrn(w, x, h):
    a = dot(w["W_a"], x)
    f = each(sigmoid, add(a, dot(w["U_f"], h), w["b_f"]))
    h = each(tanh, mix(f, h, a))
    return h, (h,)


@step
def star(w, x, h):
    n = each(tanh, add(dot(w["W_n"], x), w["b_n"]))
    h = each(tanh, mix(gate(w, "k", x, h), n, h))
    return h, (h,)


@step
def tau_gru(w, x, h, *before):
    u, z = each(tanh, both(w, "u", x, h)), each(tanh, both(w, "z", x, before[4]))
    g, a = each(sigmoid, both(w, "g", x, h)), each(sigmoid, both(w, "a", x, h))
    new = mix(g, add(u, times(a, z)), h)
    return new, (new, h, *before[:4])


@step
def trnn(w, x, h):
    f = each(sigmoid, add(dot(w["W_f"], x), w["b_f"]))
    h = mix(f, h, dot(w["W_z"], x))
    return h, (h,)


def typed(w, x, before):
    """z, f, o of the typed cells, from x and the products with the x before."""
    z, f, o = (
        add(dot(w[f"W_{name}"], x), product, w[f"b_{name}"])
        for name, product in zip("zfo", before, strict=True)
    )
    after = tuple(dot(w[f"V_{name}"], x) for name in "zfo")
    return z, each(sigmoid, f), each(tanh, o), after


@step
def tgru(w, x, h, *before):
    z, f, o, after = typed(w, x, before)
    h = add(times(f, h), times(z, o))
    return h, (h, *after)


@step
def tlstm(w, x, c, *before):
    z, f, o, after = typed(w, x, before)
    c = mix(f, c, z)
    return times(c, o), (c, *after)


@step
def unicornn(w, x, y, z):
    pace = each(lambda v: 0.1 * sigmoid(v), w["v_z"])
    force = each(tanh, add(times(w["u_z"], y), dot(w["W_z"], x), w["b_z"]))
    z = each(lambda z, a, f, y: z - a * (f + y), z, pace, force, y)
    y = add(y, times(pace, z))
    return y, (y, z)


def by_hand(function: Step, w: Weights) -> tuple[list[Vector], tuple[Vector, ...]]:
    """The outputs of the steps, and the last states."""
    states = BEFORE[: function.__code__.co_argcount - 2]
    if function.__code__.co_flags & 4:  # *before
        states = BEFORE if function is tau_gru else BEFORE[:4]
    outputs = []
    for x in INPUTS:
        output, states = function(w, x, *states)
        outputs.append(output)
    return outputs, states


def run(name: str, w: Weights, count: int) -> tuple[list[Vector], list[Vector]]:
    """The same by the library."""
    layer = Recurrent(name, 2, 2, dtype=torch.float64)
    assert set(layer.weight_names) == set(w)
    for weight, value in w.items():
        layer.set_weight(weight, torch.tensor(value, dtype=torch.float64))
    x = torch.tensor(INPUTS, dtype=torch.float64).unsqueeze(1)
    before = [torch.tensor(state, dtype=torch.float64).view(1, 1, 2) for state in BEFORE[:count]]
    output, after = layer(x, tuple(before) if count > 1 else before[0])
    after = after if isinstance(after, tuple) else (after,)
    return output[:, 0].tolist(), [state[0, 0].tolist() for state in after]


@pytest.mark.parametrize("name", HAND)
def test_two_units_by_hand(name: str) -> None:
    w = Weights()
    outputs, states = by_hand(HAND[name], w)
    found, after = run(name, w, len(states))
    assert len(after) == len(states)
    for ours, expected in zip([*found, *after], [*outputs, *states], strict=True):
        assert ours == pytest.approx(expected, abs=1e-12)

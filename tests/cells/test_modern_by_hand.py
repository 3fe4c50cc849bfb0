"""Two units, one input and two steps of each modern cell, in plain Python by the papers.

Nothing of the library computes what is expected: vectors are lists of two numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import pytest
import torch

from recurra import Recurrent, cells

Vector = list[float]
# In the first step the gate of time is opening for one unit and closing for the other.
CHOSEN = {"v_phi": [0.99, 0.96], "b_tau": [1.2, 0.3]}
INPUTS = (1.0, -2.0)
START = {"h": [0.2, -0.4], "c": [0.5, -0.3], "s": [0.2, -0.4], "n": [0.7, 1.1], "m": [0.3, -0.1]}


def weight(name: str, *shape: int) -> Any:
    """Numbers between -1 and 1 that follow from the name and the place, if none are chosen."""
    if name in CHOSEN:
        return CHOSEN[name]
    seed = crc32(name.encode())
    count = math.prod(shape)
    numbers = [((seed * (k + 3) + 7 * k * k) % 1009 - 504) / 504 for k in range(count)]
    if len(shape) == 2:
        return [numbers[r * shape[1] : (r + 1) * shape[1]] for r in range(shape[0])]
    return numbers


def W(name: str, x: float) -> Vector:
    """A matrix (2, 1) times the input."""
    return [row[0] * x for row in weight(name, 2, 1)]


def U(name: str, value: Vector) -> Vector:
    """A matrix (2, 2) times a vector."""
    return [sum(a * b for a, b in zip(row, value, strict=True)) for row in weight(name, 2, 2)]


def v(name: str) -> Vector:
    return weight(name, 2)


def on(function: Callable[..., float]) -> Callable[..., Vector]:
    """A function of numbers, unit by unit."""
    return lambda *values: [function(*units) for units in zip(*values, strict=True)]


def logistic(a: float) -> float:
    return 1 / (1 + math.exp(-a))


add = on(lambda *terms: math.fsum(terms))
times = on(lambda *factors: math.prod(factors))
gate = on(lambda *terms: logistic(math.fsum(terms)))
squash = on(lambda *terms: math.tanh(math.fsum(terms)))
tanh = on(math.tanh)
mix = on(lambda share, a, b: share * a + (1 - share) * b)


def rhn(depth: int) -> Callable[..., Any]:
    def step(x: float, t: int, s: Vector) -> Any:
        for k in range(1, depth + 1):
            read = (W(f"W_n_{k}", x), W(f"W_t_{k}", x)) if k == 1 else ([0.0, 0.0], [0.0, 0.0])
            n = squash(read[0], U(f"U_n_{k}", s), v(f"b_n_{k}"))
            opened = gate(read[1], U(f"U_t_{k}", s), v(f"b_t_{k}"))
            s = mix(opened, n, s)
        return s, (s,)

    return step


def phased(x: float, t: int, h: Vector, c: Vector) -> Any:
    def openness(log_period: float, shift: float) -> float:
        period = math.exp(log_period)
        phase = math.fmod(t - shift * period + 10 * period, period) / period
        if phase < 0.05 / 2:
            return 2 * phase / 0.05
        return 2 - 2 * phase / 0.05 if phase < 0.05 else 0.001 * phase

    k = on(openness)(v("b_tau"), v("v_phi"))
    i = gate(W("W_i", x), U("U_i", h), times(v("v_i"), c), v("b_i"))
    f = gate(W("W_f", x), U("U_f", h), times(v("v_f"), c), v("b_f"))
    g = squash(W("W_g", x), U("U_g", h), v("b_g"))
    proposed = add(times(f, c), times(i, g))
    o = gate(W("W_o", x), U("U_o", h), times(v("v_o"), proposed), v("b_o"))
    c = mix(k, proposed, c)
    h = mix(k, times(o, tanh(proposed)), h)
    return h, (h, c)


def normed(*parts: Vector) -> list[Vector]:
    values = [value for part in parts for value in part]
    centre = sum(values) / len(values)
    deviation = math.sqrt(sum((a - centre) ** 2 for a in values) / len(values) + 1e-5)
    return [[(a - centre) / deviation for a in part] for part in parts]


def gru_layernorm(x: float, t: int, h: Vector) -> Any:
    x_r, x_z = normed(W("W_r", x), W("W_z", x))
    h_r, h_z = normed(U("U_r", h), U("U_z", h))
    (x_n,), (h_n,) = normed(W("W_n", x)), normed(U("U_n", h))
    r = gate(times(v("w_r"), x_r), times(v("u_r"), h_r), v("b_r"))
    z = gate(times(v("w_z"), x_z), times(v("u_z"), h_z), v("b_z"))
    inner = add(times(v("u_n"), h_n), v("c_n"))
    h = mix(z, h, squash(times(v("w_n"), x_n), v("b_n"), times(r, inner)))
    return h, (h,)


def nested(x: float, t: int, h: Vector, c: Vector, m: Vector) -> Any:
    i, f, o = (gate(W(f"W_{a}", x), U(f"U_{a}", h), v(f"b_{a}")) for a in "ifo")
    read = times(i, squash(W("W_g", x), U("U_g", h), v("b_g")))
    before = times(f, c)
    inner = {a: add(U(f"V_{a}_c", read), U(f"U_{a}_c", before), v(f"b_{a}_c")) for a in "ifgo"}
    m = add(times(gate(inner["f"]), m), times(gate(inner["i"]), tanh(inner["g"])))
    c = times(gate(inner["o"]), tanh(m))
    h = times(o, tanh(c))
    return h, (h, c, m)


def sru(x: float, t: int, c: Vector) -> Any:
    f = gate(W("W_f", x), times(v("v_f"), c), v("b_f"))
    r = gate(W("W_r", x), times(v("v_r"), c), v("b_r"))
    c = mix(f, c, W("W_n", x))
    return mix(r, c, W("W_s", x)), (c,)


def qrnn(x: float, t: int, c: Vector, *parts: Vector) -> Any:
    before = INPUTS[t - 1] if t else 0.0
    z = squash(W("W_z", x), W("V_z", before))
    f, o = (gate(W(f"W_{a}", x), W(f"V_{a}", before)) for a in "fo")
    c = mix(f, c, z)
    return times(o, c), (c, W("V_z", x), W("V_f", x), W("V_o", x))


def mingru(x: float, t: int, h: Vector) -> Any:
    h = mix(gate(W("W_z", x), v("b_z")), add(W("W_n", x), v("b_n")), h)
    return h, (h,)


def minlstm(x: float, t: int, h: Vector) -> Any:
    f, i = gate(W("W_f", x), v("b_f")), gate(W("W_i", x), v("b_i"))
    share = on(lambda f, i: f / (f + i))(f, i)
    h = mix(share, h, add(W("W_n", x), v("b_n")))
    return h, (h,)


def rg_lru(x: float, t: int, h: Vector) -> Any:
    u = W("W_u", x)
    r, i = (gate(U(f"V_{a}", u), v(f"b_{a}")) for a in "ri")
    # a = sigmoid(Lambda) to the power of 8 r, with Lambda = -v_a
    a = on(lambda decay, r: logistic(-decay) ** (8 * r))(v("v_a"), r)
    h = on(lambda a, h, i, u: a * h + math.sqrt(1 - a**2) * i * u)(a, h, i, u)
    return h, (h,)


def hgrn(x: float, t: int, h: Vector, m: Vector) -> Any:
    def unit(bound: float, f: float, n: float, e: float, s: float, h: float, m: float) -> complex:
        kept = logistic(bound) + (1 - logistic(bound)) * logistic(f)
        angle = 2 * math.atan(s)
        turn = complex(math.cos(angle), math.sin(angle))
        return kept * turn * complex(h, m) + (1 - kept) * complex(n * logistic(n), e * logistic(e))

    f, n, e = (add(W(f"W_{a}", x), v(f"b_{a}")) for a in "fne")
    units = [unit(*one) for one in zip(v("b_g"), f, n, e, v("v_s"), h, m, strict=True)]
    h, m = [u.real for u in units], [u.imag for u in units]
    return h, (h, m)


def slstm(x: float, t: int, h: Vector, c: Vector, n: Vector, m: Vector) -> Any:
    """Without the stabiliser: c and n hold exp(m) times what the cell holds."""
    c, n = (on(lambda a, m: a * math.exp(m))(value, m) for value in (c, n))
    z = squash(W("W_z", x), U("U_z", h), v("b_z"))
    f, o = (gate(W(f"W_{a}", x), U(f"U_{a}", h), v(f"b_{a}")) for a in "fo")
    log_i = add(W("W_i", x), U("U_i", h), v("b_i"))
    m = on(lambda f, m, log_i: max(math.log(f) + m, log_i))(f, m, log_i)
    i = on(math.exp)(log_i)
    c, n = add(times(f, c), times(i, z)), add(times(f, n), i)
    h = on(lambda o, c, n: o * c / n)(o, c, n)
    held = [on(lambda a, m: a * math.exp(-m))(value, m) for value in (c, n)]
    return h, (h, *held, m)


def mlstm(x: float, t: int, C: list[Vector], n: Vector, m: Vector) -> Any:
    """Without the stabiliser, as for sLSTM."""
    scale = math.exp(m[0])
    q, value = add(W("W_q", x), v("b_q")), add(W("W_v", x), v("b_v"))
    k = add([a / math.sqrt(2) for a in W("W_k", x)], v("b_k"))
    log_i = weight("w_i", 1)[0] * x + weight("b_i", 1)[0]
    f = logistic(weight("w_f", 1)[0] * x + weight("b_f", 1)[0])
    i, after = math.exp(log_i), max(math.log(f) + m[0], log_i)
    C = [[f * scale * C[r][s] + i * value[r] * k[s] for s in (0, 1)] for r in (0, 1)]
    n = [f * scale * n[s] + i * k[s] for s in (0, 1)]
    divisor = max(abs(n[0] * q[0] + n[1] * q[1]), 1)
    o = gate(W("W_o", x), v("b_o"))
    h = [o[r] * (C[r][0] * q[0] + C[r][1] * q[1]) / divisor for r in (0, 1)]
    held = math.exp(-after)
    return h, ([[a * held for a in row] for row in C], [a * held for a in n], [after])


def ltc(x: float, t: int, h: Vector) -> Any:
    rate = on(lambda a: math.log(1 + math.exp(a)))(v("v_g"))
    for _ in range(6):
        f = gate(W("W_s", x), v("b_s"), U("U_s", h))
        h = on(lambda h, f, a, rate: (h + f * a / 6) / (1 + (rate + f) / 6))(h, f, v("v_h"), rate)
    return h, (h,)


def cfc(x: float, t: int, h: Vector) -> Any:
    f, g, n = (add(W(f"W_{a}", x), U(f"U_{a}", h), v(f"b_{a}")) for a in "fgn")
    h = mix(on(lambda f: logistic(-f))(f), tanh(g), tanh(n))
    return h, (h,)


STEPS: dict[str, Callable[..., Any]] = {
    "cfc": cfc,
    "gru_layernorm": gru_layernorm,
    "hgrn": hgrn,
    "lstm_nested": nested,
    "lstm_phased": phased,
    "ltc": ltc,
    "mingru": mingru,
    "minlstm": minlstm,
    "mlstm": mlstm,
    "qrnn": qrnn,
    "rg_lru": rg_lru,
    "rhn_2": rhn(2),
    "rhn_3": rhn(3),
    "slstm": slstm,
    "sru": sru,
}


def starts(name: str) -> Iterator[Any]:
    for state in cells.get(name).graph.state_names:
        if name == "mlstm":
            yield {"C": [[0.5, 0.2], [-0.3, 0.4]], "n": [0.7, -0.2], "m": [0.3]}[state]
        else:
            yield START.get(state, [0.0, 0.0])


@pytest.mark.parametrize("name", STEPS)
def test_two_steps(name: str) -> None:
    layer = Recurrent(name, 1, 2, dtype=torch.float64)
    for own in layer.weight_names:
        shape = layer.weight(own).shape
        layer.set_weight(own, torch.tensor(weight(own, *shape), dtype=torch.float64))
    states = tuple(starts(name))
    before = tuple(torch.tensor(state, dtype=torch.float64)[None, None] for state in states)
    x = torch.tensor(INPUTS, dtype=torch.float64).view(2, 1, 1)
    output, after = layer(x, before if len(before) > 1 else before[0])
    for t, now in enumerate(INPUTS):
        expected, states = STEPS[name](now, t, *states)
        assert output[t, 0].tolist() == pytest.approx(expected, abs=1e-12)
    for ours, theirs in zip(after if len(before) > 1 else (after,), states, strict=True):
        assert ours.flatten().tolist() == pytest.approx(
            torch.tensor(theirs, dtype=torch.float64).flatten().tolist(), abs=1e-12
        )


def test_weights_differ_from_each_other() -> None:
    """Equal weights would hide that two of them are exchanged."""
    for name in STEPS:
        graph = cells.get(name).graph
        drawn = [tuple(weight(str(p.attribute), 2)) for p in graph.parameters]
        assert len(set(drawn)) == len(drawn), name

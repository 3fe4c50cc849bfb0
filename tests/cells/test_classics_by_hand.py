"""Two units by hand for the classics and their variants: the papers' equations in plain Python.

Nothing in them comes from the library. Each function is one step: it takes the weights by name, x,
the index of the step and the states, and gives the output and the new states.
"""

from __future__ import annotations

from math import tanh

import pytest

from support.plain import (
    Vector,
    Weights,
    add,
    all_three,
    candidate,
    dot,
    each,
    gate,
    mix,
    sigmoid,
    times,
)
from support.two_units import Step, agree

HAND: dict[str, tuple[Step, int]] = {}


def step(function: Step) -> Step:
    """Enter an example; its states are what it takes beside w, x and t."""
    HAND[function.__name__] = function, function.__code__.co_argcount - 3
    return function


def squash(a: Vector) -> Vector:
    return each(tanh, a)


def logistic(*parts: Vector) -> Vector:
    return each(sigmoid, add(*parts))


def peeping(w: Weights, name: str, x: Vector, h: Vector, c: Vector) -> Vector:
    return logistic(all_three(w, name, x, h), times(w[f"v_{name}"], c))


@step
def elman(w, x, t, h):
    h = squash(all_three(w, "h", x, h))
    return h, (h,)


@step
def gru(w, x, t, h):
    """The reset acts on a product that has a bias of its own."""
    product = add(dot(w["U_n"], h), w["c_n"])
    n = squash(add(dot(w["W_n"], x), w["b_n"], times(gate(w, "r", x, h), product)))
    h = mix(gate(w, "z", x, h), h, n)
    return h, (h,)


@step
def gru_reset_before(w, x, t, h):
    n = candidate(w, "n", x, times(gate(w, "r", x, h), h))
    h = mix(gate(w, "z", x, h), h, n)
    return h, (h,)


@step
def irnn(w, x, t, h):
    h = each(lambda a: max(a, 0.0), all_three(w, "h", x, h))
    return h, (h,)


@step
def jordan(w, x, t, s):
    h = logistic(dot(w["W_h"], x), dot(w["U_h"], s), w["b_h"])
    y = logistic(dot(w["U_y"], h), w["b_y"])
    return y, (each(lambda s, y: s / 2 + y, s, y),)


@step
def clockwork(w, x, t, h):
    """The first unit moves in each step and reads both, the second in every other, itself alone."""
    a, b = dot(w["W_h"], x), w["b_h"]
    (from_fast, from_slow), (_, own) = w["U_h"]
    fast = tanh(a[0] + from_fast * h[0] + from_slow * h[1] + b[0])
    slow = h[1] if t % 2 else tanh(a[1] + own * h[1] + b[1])
    return [fast, slow], ([fast, slow],)


def lstm_of(
    w: Weights, x: Vector, h: Vector, c: Vector, peepholes: str = "ifo", open_gate: str = ""
) -> tuple[Vector, Vector, Vector]:
    """(h, c, o) of an LSTM; `peepholes` names the gates that have one; one gate may stay open."""
    ones = [1.0, 1.0]

    def of(name: str, memory: Vector) -> Vector:
        if name == open_gate:
            return ones
        own = peeping(w, name, x, h, memory) if name in peepholes else gate(w, name, x, h)
        return own

    i, f = of("i", c), of("f", c)
    c = add(times(f, c), times(i, candidate(w, "g", x, h)))
    o = of("o", c)
    return times(o, squash(c)), c, o


@step
def lstm_nig(w, x, t, h, c):
    h, c, _ = lstm_of(w, x, h, c, open_gate="i")
    return h, (h, c)


@step
def lstm_nfg(w, x, t, h, c):
    h, c, _ = lstm_of(w, x, h, c, open_gate="f")
    return h, (h, c)


@step
def lstm_nog(w, x, t, h, c):
    h, c, _ = lstm_of(w, x, h, c, open_gate="o")
    return h, (h, c)


@step
def lstm_niaf(w, x, t, h, c):
    i, f = peeping(w, "i", x, h, c), peeping(w, "f", x, h, c)
    c = add(times(f, c), times(i, all_three(w, "g", x, h)))
    h = times(peeping(w, "o", x, h, c), squash(c))
    return h, (h, c)


@step
def lstm_noaf(w, x, t, h, c):
    _, c, o = lstm_of(w, x, h, c)
    h = times(o, c)
    return h, (h, c)


@step
def lstm_cifg_peephole(w, x, t, h, c):
    c = mix(peeping(w, "i", x, h, c), candidate(w, "g", x, h), c)
    h = times(peeping(w, "o", x, h, c), squash(c))
    return h, (h, c)


@step
def lstm_fgr(w, x, t, h, c, i, f, o):
    def fed_back(name):
        return add(*(dot(w[f"R{a}_{name}"], b) for a, b in (("i", i), ("f", f), ("o", o))))

    def own(name, memory, recurrence):
        return logistic(all_three(w, name, x, h), times(w[f"v_{name}"], memory), recurrence)

    of_i, of_f, of_o = fed_back("i"), fed_back("f"), fed_back("o")
    i, f = own("i", c, of_i), own("f", c, of_f)
    c = add(times(f, c), times(i, candidate(w, "g", x, h)))
    o = own("o", c, of_o)
    h = times(o, squash(c))
    return h, (h, c, i, f, o)


@step
def lstm_peephole(w, x, t, h, c):
    h, c, _ = lstm_of(w, x, h, c)
    return h, (h, c)


@step
def lstm_peephole_if(w, x, t, h, c):
    h, c, _ = lstm_of(w, x, h, c, peepholes="if")
    return h, (h, c)


@step
def lstm_peephole_o(w, x, t, h, c):
    h, c, _ = lstm_of(w, x, h, c, peepholes="o")
    return h, (h, c)


@step
def lstm_forget_zero(w, x, t, h, c):
    h, c, _ = lstm_of(w, x, h, c, peepholes="")
    return h, (h, c)


@step
def mut1(w, x, t, h):
    z = logistic(dot(w["W_z"], x), w["b_z"])
    n = squash(add(dot(w["U_n"], times(gate(w, "r", x, h), h)), squash(x), w["b_n"]))
    h = mix(z, n, h)
    return h, (h,)


@step
def mut2(w, x, t, h):
    r = logistic(x, dot(w["U_r"], h), w["b_r"])
    h = mix(gate(w, "z", x, h), candidate(w, "n", x, times(r, h)), h)
    return h, (h,)


@step
def mut3(w, x, t, h):
    n = candidate(w, "n", x, times(gate(w, "r", x, h), h))
    h = mix(gate(w, "z", x, squash(h)), n, h)
    return h, (h,)


def minimal(w: Weights, x: Vector, h: Vector, f: Vector) -> tuple[Vector, tuple[Vector]]:
    h = mix(f, candidate(w, "n", x, times(f, h)), h)
    return h, (h,)


@step
def mgu1(w, x, t, h):
    return minimal(w, x, h, logistic(dot(w["U_f"], h), w["b_f"]))


@step
def mgu2(w, x, t, h):
    return minimal(w, x, h, logistic(dot(w["U_f"], h)))


@step
def mgu3(w, x, t, h):
    return minimal(w, x, h, logistic(w["b_f"]))


@step
def lstm_selective(w, x, t, h, s):
    s = add(times(gate(w, "f", x, h), s), times(gate(w, "i", x, h), gate(w, "g", x, h)))
    h = times(gate(w, "o", x, h), logistic(s))
    return h, (h, s)


@step
def gru_selective(w, x, t, s):
    written = gate(w, "g", x, times(gate(w, "o", x, s), s))
    s = mix(gate(w, "i", x, s), written, s)
    return s, (s,)


@pytest.mark.parametrize("name", HAND)
def test_two_units_by_hand(name: str) -> None:
    function, states = HAND[name]
    agree(name, states, function)


def depth_gated(w, x, below, t, h, c):
    d = logistic(dot(w["W_d"], x), times(w["v_d"], c), times(w["u_d"], below), w["b_d"])
    i, f = peeping(w, "i", x, h, c), peeping(w, "f", x, h, c)
    c = add(times(d, below), times(f, c), times(i, candidate(w, "g", x, h)))
    h = times(peeping(w, "o", x, h, c), squash(c))
    return h, (h, c)


def grid(w, x, below, t, h, m, depth_last=False):
    def dimension(d, from_time, memory):
        def net(name):
            return add(dot(w[f"W_{name}{d}"], x), dot(w[f"U_{name}{d}"], from_time))

        i, f, o = (logistic(net(name)) for name in "ifo")
        memory = add(times(f, memory), times(i, squash(net("g"))))
        return squash(times(o, memory)), memory

    new, m = dimension("", h, m)
    y, _ = dimension("_d", new if depth_last else h, below)
    return y, (new, m)


def grid_depth_last(w, x, below, t, h, m):
    return grid(w, x, below, t, h, m, depth_last=True)


@pytest.mark.parametrize(
    ("name", "below", "function"),
    [
        ("lstm_depth_gated", "c_below", depth_gated),
        ("lstm_grid", "m_d_below", grid),
        ("lstm_grid_priority", "m_d_below", grid_depth_last),
    ],
)
def test_two_units_that_read_the_layer_below(name: str, below: str, function: Step) -> None:
    agree(name, 2, function, below)


@pytest.mark.parametrize(
    ("name", "other"), [("mgu1", "mgu2"), ("lstm_nog", "lstm_noaf"), ("elman", "irnn")]
)
def test_another_cell_is_seen(name: str, other: str) -> None:
    """A deliberate defect: the numbers of one cell are not those of another."""
    function, states = HAND[other]
    with pytest.raises(AssertionError):
        agree(name, states, function)

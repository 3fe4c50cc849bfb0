"""Illegal states and inputs: what a cell takes and returns, refused by line and remedy."""

from __future__ import annotations

import pytest

from recurra.errors import CellError
from recurra.graph import cell, log, mean, outer, tanh
from support.illegal import Illegal, marker

ILLEGAL: list[Illegal] = []
illegal = marker(ILLEGAL)

# The line that an error must name is marked with "# here"; without a mark, it is that of the def.


@illegal(r"the sizes \(P,\) and \(H,\) meet", state="h, c", shapes={"h": "P"})
def states_of_two_sizes(p, x, h, c):
    c = tanh(p.W_c @ x + p.U_c @ (h + c))  # here
    h = p.R_h @ c
    return h, c


@illegal(r"state h has the shape \('H',\) before the step and \('I',\) after it. Put a matrix")
def sizes_that_meet_in_the_state(p, x, h):
    h = tanh(p.U_h @ h + x)  # here
    return h


@illegal("layers give reset themselves; choose another name")
def input_named_like_a_mark(p, x, reset, h):
    h = tanh(p.W_h @ x + p.U_h @ h) * reset
    return h


@illegal("x is bound twice")
def input_bound_again(p, x, h):
    x = p.W_x @ x  # here
    h = tanh(x + p.U_h @ h)
    return h


@illegal("c is returned in the place of h; the order is h, c", state="h, c")
def wrong_return_order(p, x, h, c):
    c = tanh(p.W_c @ x + p.U_c @ h + c)  # here
    h = tanh(c)
    return c, h


@illegal(r"must return its new states \(h, c\), and returned \(a value\)", state="h, c")
def too_few_returned(p, x, h, c):
    h = tanh(p.W_h @ x + p.U_h @ h + c)
    return h


@illegal(r"must return its new states \(h\), and returned \(a NoneType\)")
def nothing_returned(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h)


@illegal(r"must return its new states \(h\), and returned \(a float\)")
def number_returned(p, x, h):
    return 1.0


@illegal("state c is never read", state="h, c")
def state_never_read(p, x, h, c):
    h = tanh(p.W_h @ x + p.U_h @ h)
    c = h * 2
    return h, c


@illegal("state c is returned as it came", state="h, c")
def state_as_it_came(p, x, h, c):
    h = tanh(p.W_h @ x + p.U_h @ h + c)
    return h, c


@illegal("x is a value of the step, and stands where a matrix is needed")
def input_on_the_left(p, x, h):
    h = tanh(x @ h + p.U_h @ h)
    return h


@illegal("state M is stated to have 3 sizes", state="h, M", shapes={"M": "H H H"})
def state_of_three_sizes(p, x, h, M):
    h = tanh(p.W_h @ x + M @ h)
    M = M * 0.5 + p.U_h
    return h, M


@illegal("state M has the size I of the input", state="h, M", shapes={"M": "H I"})
def matrix_state_like_the_input(p, x, h, M):
    h = tanh(M @ x + p.U_h @ h)
    M = M * 0.5 + p.W_m
    return h, M


@illegal(
    r"state M has the shape \('H', 'P'\) before the step and \('H', 'H'\) after it",
    state="h, M",
    shapes={"M": "H P"},
)
def matrix_state_of_another_shape(p, x, h, M):
    M = outer(h, h)  # here
    h = tanh(p.W_h @ x + p.U_h @ (M @ h))
    return h, M


@illegal("outer takes two vectors", state="h, c", shapes={"c": ""})
def scalar_state_as_a_vector(p, x, h, c):
    h = tanh(p.W_h @ x + outer(h, c) @ h)  # here
    c = c * 0.5 + mean(h)
    return h, c


@illegal("the cell has no input x: give it one, as in def cell")
def no_input(p, h):
    h = tanh(p.U_h @ h)  # here
    return h


@illegal("the cell has no input x")
def input_of_another_name(p, u, h):
    h = tanh(p.W_h @ u + p.U_h @ h)  # here
    return h


@illegal("no result depends on the input x; read it")
def input_never_read(p, x, h):
    h = tanh(p.U_h @ h)
    return h


@illegal("no result depends on the input x; read it")
def input_of_a_dead_value(p, x, h):
    d = x * 2  # noqa: F841
    h = tanh(p.U_h @ h)
    return h


@illegal(r"state h has the shape \('H',\) before the step and \(\) after it")
def state_that_shrinks(p, x, h):
    h = mean(tanh(p.W_h @ x + p.U_h @ h))  # here
    return h


@illegal(r"the states \['c'\] are not among its arguments", state="h, c")
def state_no_argument(p, x, h):
    h = log(p.W_h @ x + p.U_h @ h)
    return h


@pytest.mark.parametrize("case", ILLEGAL, ids=str)
def test_illegal_state_or_input_names_its_line(case: Illegal) -> None:
    case.check()


def test_a_cell_without_states_is_refused() -> None:
    def no_state(p, x):
        return tanh(p.W_h @ x)

    with pytest.raises(CellError, match="states"):
        cell(state="")(no_state)

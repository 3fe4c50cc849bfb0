"""Illegal cells: each is refused with a CellError that names the file, the line and the remedy."""

from __future__ import annotations

import pytest

from recurra.graph import constant, mean, sigmoid, tanh, transpose, where
from support.illegal import Illegal, marker

ILLEGAL: list[Illegal] = []
illegal = marker(ILLEGAL)

# The line that an error must name is marked with "# here"; without a mark, it is that of the def.


@illegal(r"the sizes \(I,\) and \(H,\) meet. Put a matrix between them")
def sizes_that_meet(p, x, h):
    a = p.U_h @ (x * h)  # here
    h = tanh(a + p.b_h)
    return h


@illegal("g is bound twice. One name means one thing")
def name_bound_twice(p, x, h):
    g = p.W_g @ x
    g = tanh(g + p.U_g @ h)  # here
    h = g * 2
    return h


@illegal("f is bound twice")
def name_of_a_closure_bound_twice(p, x, h):
    f = p.W_f @ x
    f = f + p.U_f @ h  # here
    h = (lambda: tanh(f))()
    return h


@illegal("the weight V_d is read but no result depends on it")
def weight_unused(p, x, h):
    p.V_d  # noqa: B018  # here
    h = tanh(p.W_h @ x + p.U_h @ h)
    return h


@illegal("the weight V_d is read but no result depends on it")
def weight_of_a_dead_value(p, x, h):
    d = p.V_d @ x  # here  # noqa: F841
    h = tanh(p.W_h @ x + p.U_h @ h)
    return h


@illegal("no weight")
def nothing_to_train(p, x, h):
    h = tanh(h * 0.5)  # here
    return h


@illegal("add joins a matrix and a vector")
def matrix_against_vector(p, x, h):
    h = tanh((p.U_h + p.W_h @ x) @ h)  # here
    return h


@illegal("multiply joins a matrix and a vector", shapes={"v": "H"})
def matrix_against_stated_vector(p, x, h):
    h = tanh((p.U_h * p.v) @ h)  # here
    return h


@illegal("the right side of @ must be a vector")
def product_of_matrices(p, x, h):
    h = tanh((p.U_h @ p.V_h) @ h + p.U_h @ h + p.V_h @ h)  # here
    return h


@illegal("the right side of @ is a scalar")
def product_with_a_scalar(p, x, h):
    h = tanh(p.U_h @ mean(h))  # here
    return h


@illegal("matmul needs a matrix")
def product_with_a_value_on_the_left(p, x, h):
    h = tanh((p.W_h @ x) @ h)  # here
    return h


@illegal("matmul needs a matrix")
def number_on_the_left(p, x, h):
    h = tanh(constant(2) @ h + p.U_h @ h)  # here
    return h


@illegal("transpose needs a matrix")
def transposed_value(p, x, h):
    h = tanh(transpose(p.W_h @ x) @ h)  # here
    return h


@illegal("mean goes over the units of a vector")
def reduction_of_a_scalar(p, x, h):
    h = tanh(p.U_h @ h) * mean(mean(h))  # here
    return h


@illegal("a matrix that changes from step to step")
def matrix_that_steps(p, x, h):
    h = tanh((p.U_h * mean(h)) @ h)  # here
    return h


@illegal("a trained scalar scales a matrix", shapes={"alpha": ""})
def matrix_that_is_scaled(p, x, h):
    h = tanh((p.alpha * p.U_h) @ h)  # here
    return h


@illegal("cannot branch on a value of the step.*where")
def branching_on_a_value(p, x, h):
    a = p.W_h @ x
    h = tanh(a) if mean(h) > 0 else a  # here
    return h


@illegal("cannot branch on a value of the step")
def branching_in_a_helper(p, x, h):
    h = bounded(p.W_h @ x + p.U_h @ h)  # here
    return h


def bounded(a):
    return a if a < 1 else 1


@illegal("a bool stands where a value of the step or a number is needed")
def equality(p, x, h):
    h = tanh(where(h == 0, p.W_h @ x, p.U_h @ h))  # here
    return h


@illegal("a str stands where a value of the step or a number is needed")
def text_in_an_equation(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h + "b")  # here
    return h


@illegal("the power 0.5 is not a whole number from 1")
def broken_power(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h) ** 0.5  # here
    return h


@illegal("output 'y' is not a local of the cell", output="y")
def output_not_a_local(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h)
    return h


@illegal("the output of a cell must have one value per unit", output="m")
def output_a_scalar(p, x, h):
    m = mean(h)  # here
    h = tanh(p.W_h @ x + p.U_h @ h + m)
    return h


@illegal("g is a weight and also a value of the step")
def weight_named_like_a_value(p, x, h):
    g = sigmoid(p.W_g @ x + p.g)  # here
    h = tanh(p.U_h @ h) * g
    return h


@illegal("shapes names 'q', which the cell does not read", shapes={"q": "H"})
def shape_of_nothing(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h)
    return h


@illegal("a cell takes p, the inputs and the states")
def first_argument_not_p(x, h):
    return h


@pytest.mark.parametrize("case", ILLEGAL, ids=str)
def test_illegal_cell_names_its_line(case: Illegal) -> None:
    case.check()

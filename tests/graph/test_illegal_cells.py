"""Illegal cells: each is refused with a CellError that names the file, the line and the remedy."""

from __future__ import annotations

import math

import pytest
import torch

from recurra.graph import constant, mean, outer, sigmoid, tanh, transpose, where
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


@illegal("outer takes two vectors")
def outer_of_a_scalar(p, x, h):
    h = tanh(outer(h, mean(h)) @ h + p.U_h @ x)  # here
    return h


@illegal("outer takes two vectors")
def outer_of_a_matrix(p, x, h):
    h = tanh(outer(p.U_h, h) @ h + p.U_h @ h)  # here
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


@illegal("a bool stands where a value of the step or a number is needed.*not by ==")
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


@illegal("torch's tanh takes no value of the step.*from recurra.graph import tanh")
def function_of_torch(p, x, h):
    h = torch.tanh(p.W_h @ x + p.U_h @ h)  # here
    return h


@illegal("torch's cosh takes no value of the step.*sigmoid, tanh, relu")
def function_that_only_torch_has(p, x, h):
    h = torch.cosh(p.W_h @ x + p.U_h @ h)  # here
    return h


@illegal("torch's matmul takes no value of the step")
def tensor_on_the_left(p, x, h):
    h = tanh(torch.ones(2, 2) @ h + p.W_h @ x)  # here
    return h


@illegal("must be real number, not Expression")
def function_of_math(p, x, h):
    h = math.tanh(p.W_h @ x + p.U_h @ h)  # here
    return h


@illegal("no attribute 'T'; write transpose")
def attribute_t(p, x, h):
    h = tanh(p.W_h @ x + p.U_h.T @ h)  # here
    return h


@illegal("no attribute 'sigmoid'; use sigmoid.* after `from recurra.graph import sigmoid`")
def method_of_a_tensor(p, x, h):
    h = (p.W_h @ x + p.U_h @ h).sigmoid()  # here
    return h


@illegal("a value of the step has no parts")
def one_unit(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h + h[0])  # here
    return h


@illegal("a value of the step has no parts")
def loop_over_the_units(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h + sum(a for a in h))  # here
    return h


@illegal("a cell has no >=; write a > b")
def not_less(p, x, h):
    h = where(h >= 0, p.W_h @ x, p.U_h @ h)  # here
    return h


@illegal("a cell has no <=; write a < b")
def not_greater(p, x, h):
    h = where(h <= 0, p.W_h @ x, p.U_h @ h)  # here
    return h


@illegal(r"write exp\(b \* log\(a\)\)")
def exponent(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ 2**h)  # here
    return h


@illegal(r"or maximum\(a, b\)")
def builtin_max(p, x, h):
    h = max(p.W_h @ x, p.U_h @ h)  # here
    return h


@illegal("takes 1 positional argument but 2 were given")
def one_operand_too_many(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h, 3)  # here
    return h


@illegal("p.'U h'.: the name of a weight")
def weight_with_a_space(p, x, h):
    h = tanh(p.W_h @ x + p["U h"] @ h)  # here
    return h


@illegal("p.0.: the name of a weight")
def weight_with_a_number(p, x, h):
    h = tanh(p.W_h @ x + p[0] @ h)  # here
    return h


@illegal("unknown weight in init 'b_q'. Did you mean 'b_h'", init={"U_*": 1.0, "b_q": 1.0})
def wish_for_nothing(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h + p.b_h)
    return h


@illegal(
    "unknown weight in fixed 'maks'. Did you mean 'mask'", fixed={"mask": float, "maks": float}
)
def fixed_weight_unread(p, x, h):
    h = tanh(p.W_h @ x + (p.mask * p.U_h) @ h)
    return h


@illegal("the output has the size I of the input", output="y")
def output_like_the_input(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h)
    y = p.V_y @ h + x  # here  # noqa: F841
    return h


@illegal("state h has the size I of the input", shapes={"h": "I"})
def state_like_the_input(p, x, h):
    h = tanh(x + p.U_h @ h)
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

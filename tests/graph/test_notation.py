"""What the notation must express, each with a cell of its own: values, gradients, printed forms."""

from __future__ import annotations

import math

import pytest
import torch

from recurra.errors import UsageError
from recurra.graph import (
    Cell,
    cell,
    constant,
    exp,
    floor,
    listing,
    maximum,
    mean,
    sigmoid,
    sqrt,
    sum,
    tanh,
    text,
    transpose,
    where,
)
from recurra.graph import max as largest
from recurra.graph.facts import hoisted, stages
from recurra.nn import Recurrent
from support.checks import check_backward, check_gradients, check_value, close, layer_of


@cell(state="h, c")
def several_operands(p, x, h, c):
    """Products of h, of c, of a gated value and of both, in one step."""
    r = sigmoid(p.W_r @ x + p.U_r @ h + p.V_r @ c)
    c = tanh(p.W_c @ x + p.U_c @ (r * h) + p.V_c @ c)
    h = tanh(p.U_h @ (h * c) + p.V_h @ c + p.b_h)
    return h, c


@cell(state="h, c")
def vector_parameters(p, x, h, c):
    f = sigmoid(p.W_f @ x + p.v_f * c + p.b_f)
    c = f * c + (1 - f) * tanh(p.W_c @ x + p.a_c * h)
    h = tanh(p.v_h * c / (1 + p.v_h * p.v_h))
    return h, c


@cell(state="h")
def gates_without_inputs(p, x, h):
    """One gate reads only the state, one only the input, one is a weight alone."""
    f = sigmoid(p.U_f @ h + p.b_f)
    i = sigmoid(p.W_i @ x)
    k = sigmoid(p.b_k)
    h = f * h + i * tanh(p.W_h @ x) * k
    return h


@cell(state="h")
def constants(p, x, h):
    h = 0.25 * h + (1 - 0.25) * tanh(2 * (p.W_h @ x) + 3 * (p.U_h @ h) - 0.5) / 4
    return h


@cell(state="h")
def extra_input(p, x, y, z, h):
    """A second sequence y of its own size, and a third, z, unit by unit."""
    g = sigmoid(p.W_g @ x + p.V_g @ y + p.b_g)
    h = g * h + (1 - g) * tanh(z + p.U_h @ h)
    return h


@cell(state="h", shapes={"m": ""})
def scalar_input(p, x, m, h):
    """A mask of one number a row and step."""
    h = where(m > 0, tanh(p.W_h @ x + p.U_h @ h), m * h)
    return h


def period(row: int, sizes: dict[str, int]) -> float:
    return float(2**row)


def below(row: int, column: int, sizes: dict[str, int]) -> float:
    return float(row >= column)


@cell(state="h", fixed={"M": below, "k": period})
def clockwork(p, x, h, t):
    """Units of period k move only in their steps, and read only the slower ones (clockwork)."""
    due = 1 - (t - floor(t / p.k) * p.k > 0)
    h = where(due, tanh(p.W_h @ x + (p.M * p.U_h) @ h + p.b_h), h)
    return h


@cell(state="h", fixed={"S": lambda row, column, sizes: (row + 1) / (sizes["H"] * (column + 1))})
def fixed_alone(p, x, h):
    """An echo state: the recurrent matrix is never trained."""
    h = tanh(p.W_h @ x + p.S @ h)
    return h


@cell(state="h")
def reductions(p, x, h):
    a = p.W_h @ x + p.U_h @ h
    centred = a - mean(a)
    n = centred / sqrt(mean(centred * centred) + 1e-5)
    e = exp(n - largest(n))
    h = p.v_h * e / sum(e) + p.b_h
    return h


@cell(state="h")
def matrix_twice(p, x, h):
    """Tied weights: a matrix and its transpose."""
    h = tanh(transpose(p.R_h) @ (p.R_h @ h) + p.W_h @ x)
    return h


@cell(state="h, m", output="y")
def own_output(p, x, h, m):
    """A delay line: m is the old h. What the layer gives out is no state."""
    n = tanh(p.W_h @ x + p.U_h @ h + p.V_h @ m)
    m = h
    h = n
    y = p.R_y @ n + p.b_y  # noqa: F841  (the output)
    return h, m


@cell(state="h, m")
def same_after(p, x, h, m):
    """Two states with one new value, and different old ones."""
    h = maximum(tanh(p.W_h @ x + p.U_h @ h), p.V_h @ m)
    m = h
    return h, m


@cell(state="h, m")
def state_from_the_input(p, x, h, m):
    """A state that is the last input, and reads no state."""
    h = tanh(p.W_h @ x + p.U_h @ h + p.V_h @ m)
    m = p.W_m @ x
    return h, m


@cell(state="h, m")
def state_from_a_weight(p, x, h, m):
    h = tanh(p.W_h @ x + p.U_h @ h + p.V_h @ m)
    m = sigmoid(p.b_m)
    return h, m


@cell(state="h", shapes={"alpha": "", "beta": ""})
def trained_scalars(p, x, h):
    a = p.alpha * (p.W_h @ x) + p.U_h @ (p.beta * h)
    h = tanh(a) * sigmoid(p.alpha)
    return h


CELLS = [value for value in list(globals().values()) if isinstance(value, Cell)]
every_cell = pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])


@every_cell
def test_value_over_time(cell: Cell) -> None:
    check_value(cell.graph)


@every_cell
def test_backward_graph(cell: Cell) -> None:
    check_backward(cell.graph)


@every_cell
def test_numeric_gradients_in_a_layer(cell: Cell) -> None:
    check_gradients(cell)


@every_cell
def test_printed(cell: Cell) -> None:
    lines = text(cell.graph).splitlines()
    for name, _ in cell.graph.named:
        assert [line.split("=")[0].strip() for line in lines].count(f"{name}[t]") == 1
    assert listing(cell.graph)


def test_several_operands_wait_for_one_another() -> None:
    assert len(stages(several_operands.graph)) == 3


def test_sizes_follow_from_use() -> None:
    graph = extra_input.graph
    shapes = {leaf.attribute: shape for leaf, shape in graph.leaf_shapes}
    assert shapes["x"] == ("I",)
    assert shapes["y"] == ("I_y",)
    assert shapes["z"] == ("H",)
    assert shapes["V_g"] == ("H", "I_y")
    assert len(hoisted(graph)) == 2


def test_extra_inputs_of_a_layer() -> None:
    layer = Recurrent(extra_input, 2, 3, sizes={"I_y": 4}, dtype=torch.float64)
    x, y, z = (torch.randn(5, 2, size).double() for size in (2, 4, 3))
    output, _ = layer(x, inputs={"y": y, "z": z})
    h = torch.zeros(2, 3).double()
    for t in range(5):
        gate = x[t] @ layer.weight("W_g").mT + y[t] @ layer.weight("V_g").mT + layer.weight("b_g")
        g = gate.sigmoid()
        h = g * h + (1 - g) * torch.tanh(z[t] + h @ layer.weight("U_h").mT)
        close(output[t], h)
    with pytest.raises(UsageError, match="also reads z"):
        layer(x, inputs={"y": y})


def test_fixed_weights_are_not_trained_and_not_saved() -> None:
    layer = layer_of(clockwork)
    assert layer.weight_names == ("W_h", "U_h", "b_h")
    assert not any("M" in name for name in layer.state_dict())
    close(layer.M_l0, torch.ones(3, 3).tril().double())
    close(layer.k_l0, torch.tensor([1.0, 2.0, 4.0]).double())


def test_clockwork_units_keep_time() -> None:
    layer = layer_of(clockwork)
    x = torch.randn(9, 1, 2).double()
    output, _ = layer(x)
    changed = (output[1:] != output[:-1])[:, 0]
    for unit, k in enumerate((1, 2, 4)):
        assert changed[:, unit].tolist() == [(t + 1) % k == 0 for t in range(8)]
    first, h = layer(x[:4])
    second, _ = layer(x[4:], h, start=4)
    close(torch.cat([first, second]), output)


def test_mask_on_a_matrix_cuts_values_and_gradients() -> None:
    layer = layer_of(clockwork)
    output, _ = layer(torch.randn(4, 2, 2).double())
    output.sum().backward()
    grad = layer.weight_hh_l0.grad
    assert not grad.triu(1).any()
    assert grad.tril().any()


def test_layer_normalisation_is_torchs() -> None:
    layer = layer_of(reductions)
    x = torch.randn(1, 2, 2).double()
    output, _ = layer(x)
    n = torch.nn.functional.layer_norm(x[0] @ layer.weight("W_h").mT, (3,), eps=1e-5)
    close(output[0], layer.weight("v_h") * n.softmax(-1) + layer.weight("b_h"))


def test_delay_line() -> None:
    layer = layer_of(own_output)
    x = torch.randn(4, 2, 2).double()
    output, (h, m) = layer(x)
    _, (before, _) = layer(x[:3])
    close(m, before)
    close(output[-1], h[0] @ layer.weight("R_y").mT + layer.weight("b_y"))
    assert text(own_output.graph).splitlines()[0] == "m[t] = h[t-1]"


def test_constants_are_of_full_precision() -> None:
    @cell(state="h")
    def tenth(p, x, h):
        h = where(h + mean(x) > -5, 0.1, 0.2) + p.b_h * 0.3
        return h

    layer = Recurrent(tenth, 1, 1, dtype=torch.float64)
    layer.set_weight("b_h", 1.0)
    output, _ = layer(torch.zeros(1, 1, 1, dtype=torch.float64))
    assert output.item() == pytest.approx(0.1 + 0.3, abs=1e-15)


def test_numbers_that_no_folding_can_compute() -> None:
    @cell(state="h")
    def endless(p, x, h):
        h = where(p.W_h @ x > 1 / constant(0), 0.0, tanh(p.U_h @ h + p.b_h))
        return h

    output, _ = layer_of(endless)(torch.zeros(2, 1, 2).double())
    assert math.isfinite(output.sum().item())

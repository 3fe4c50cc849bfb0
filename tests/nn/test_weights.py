"""Weights by the names of the equations, initial values, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import recurra
from recurra import cells
from recurra.errors import ShapeError, UnknownNameError, UsageError, WeightsError
from recurra.graph import cell, tanh
from support.checks import features

SIZES = {"lstm_projection": {"P": 2}}


def test_a_named_weight_is_a_view_of_its_stack():
    layer = recurra.Recurrent("lstm", 3, 4, num_layers=2, bidirectional=True)
    view = layer.weight("U_f", layer=1, direction="reverse")
    assert view.shape == (4, 4)
    torch.testing.assert_close(view, layer.weight_hh_l1_reverse[4:8])
    with torch.no_grad():
        view.fill_(3.0)
    assert (layer.weight_hh_l1_reverse[4:8] == 3).all()
    layer.weight("U_f", 1, "reverse").sum().backward()
    assert layer.weight_hh_l1_reverse.grad[4:8].eq(1).all()
    assert layer.weight_hh_l1_reverse.grad[:4].eq(0).all()


@pytest.mark.parametrize("name", cells.names())
def test_stored_weights_are_those_of_the_equations(name):
    layer = recurra.Recurrent(name, features(name, 3, 4), 4, sizes=SIZES.get(name))
    stored = sum(p.numel() for p in layer.parameters())
    assert stored == sum(layer.weight(w).numel() for w in layer.weight_names)
    assert len(list(layer.parameters())) <= 6


def test_two_biases_of_torch_are_one_named_weight():
    layer = recurra.GRU(3, 4)
    torch.testing.assert_close(layer.weight("b_r"), layer.bias_ih_l0[:4] + layer.bias_hh_l0[:4])
    torch.testing.assert_close(layer.weight("b_n"), layer.bias_ih_l0[8:])
    torch.testing.assert_close(layer.weight("c_n"), layer.bias_hh_l0[8:])
    layer.set_weight("b_r", 2.0)
    assert (layer.bias_ih_l0[:4] == 2).all()
    assert (layer.bias_hh_l0[:4] == 0).all()


def test_wishes_of_a_cell_and_of_the_user():
    layer = recurra.Recurrent("lstm", 3, 4, num_layers=2, bidirectional=True)
    for k in range(2):
        for direction in layer.directions:
            assert (layer.weight("b_f", k, direction) == 1).all()
            assert (layer.weight("b_i", k, direction) != 1).all()
    mine = recurra.Recurrent(
        "lstm", 3, 4, init={"b_*": 0.0, "U_*": "orthogonal", "U_g": "identity"}
    )
    assert (mine.bias_l0 == 0).all()
    torch.testing.assert_close(mine.weight("U_g"), torch.eye(4))
    u = mine.weight("U_f")
    torch.testing.assert_close(u @ u.T, torch.eye(4))
    assert mine.weight_ih_l0.abs().max() <= 1 / math.sqrt(4)


def test_a_fixed_mask_is_kept_out_of_training_and_of_the_state_dict():
    @cell(state="h", fixed={"M": lambda row, column, sizes: float(row >= column)})
    def lower(p, x, h):
        h = tanh(p.W_h @ x + (p.M * p.U_h) @ h)
        return h

    layer = recurra.Recurrent(lower, 2, 3)
    torch.testing.assert_close(layer.M_l0, torch.ones(3, 3).tril())
    assert list(layer.state_dict()) == ["weight_ih_l0", "weight_hh_l0"]
    layer(torch.randn(4, 2, 2))[0].sum().backward()
    assert (layer.weight_hh_l0.grad.triu(1) == 0).all()
    assert (layer.weight_hh_l0.grad.tril() != 0).any()
    assert layer.double().M_l0.dtype == torch.float64


def test_a_fixed_weight_has_all_digits_of_its_layer():
    @cell(state="h", fixed={"s": lambda sizes: 1 / sizes["H"]}, shapes={"s": ""})
    def scaled(p, x, h):
        h = tanh(p.W_h @ x + p.s * h)
        return h

    assert recurra.Recurrent(scaled, 2, 3, dtype=torch.float64).s_l0.item() == 1 / 3
    assert recurra.Recurrent(scaled, 2, 3).s_l0.dtype == torch.float32


def test_a_trained_scalar():
    @cell(state="h", shapes={"alpha": "", "beta": ""}, init={"alpha": -3.0, "beta": 3.0})
    def fast(p, x, h):
        n = tanh(p.W_n @ x + p.U_n @ h + p.b_n)
        h = p.alpha * n + p.beta * h
        return h

    layer = recurra.Recurrent(fast, 2, 3)
    torch.testing.assert_close(layer.scalar_l0, torch.tensor([-3.0, 3.0]))
    layer(torch.randn(4, 2, 2))[0].sum().backward()
    assert layer.scalar_l0.grad.shape == (2,)


REFUSED = [
    (lambda: recurra.Recurrent("lstmm", 2, 3), UnknownNameError, "Did you mean 'lstm"),
    (lambda: recurra.Recurrent(3, 2, 3), UsageError, "a int is no cell"),
    (lambda: recurra.LSTM(0, 3), UsageError, "input_size=0"),
    (lambda: recurra.LSTM(2, 3.0), UsageError, "hidden_size=3.0"),
    (lambda: recurra.LSTM(2, 3, dropout=1.5), UsageError, "dropout=1.5"),
    (lambda: recurra.LSTM(2, 3, zoneout={"z": 0.1}), UnknownNameError, "state in zoneout"),
    (lambda: recurra.LSTM(2, 3, proj_size=3), UsageError, "smaller than hidden_size"),
    (lambda: recurra.RNN(2, 3, nonlinearity="sine"), UsageError, "'tanh' or 'relu'"),
    (
        lambda: recurra.LSTM(2, 3, 1, True, False, 0.0, False, 0, "cpu", device="cpu"),
        UsageError,
        "device is given twice",
    ),
    (lambda: recurra.Recurrent("lstm", 2, 3, init={"b_z": 1.0}), UnknownNameError, "b_z"),
    (
        lambda: recurra.Recurrent("gru", 2, 3, init={"b_z": "ones_"}),
        UnknownNameError,
        "initialiser",
    ),
    (lambda: recurra.Recurrent("lstm_projection", 2, 3), UsageError, "also needs the sizes P"),
    (
        lambda: recurra.Recurrent("intersection_rnn", 2, 3),
        UsageError,
        r"layer 0 needs 3 features \(H\) and would read 2\. Choose hidden_size",
    ),
    (
        lambda: recurra.Recurrent("intersection_rnn", 3, 3, num_layers=2, bidirectional=True),
        UsageError,
        r"layer 1 needs 3 features \(H\) and would read 6",
    ),
    (lambda: recurra.Recurrent("lstm", 2, 3, sizes={"P": 2}), UnknownNameError, "size 'P'"),
    (lambda: recurra.GRU(2, 3).weight("U_q"), UnknownNameError, "weight 'U_q'"),
    (lambda: recurra.GRU(2, 3).weight("U_r", 1), UsageError, "layer 1 does not exist"),
    (lambda: recurra.GRU(2, 3).weight("U_r", 0, "reverse"), UnknownNameError, "direction"),
    (lambda: recurra.GRU(2, 3, zoneout=0.1).to_torch(), WeightsError, "no zoneout"),
    (lambda: recurra.nn.from_torch(nn.Linear(2, 2)), WeightsError, "Linear is none of"),
    (lambda: recurra.GRU(2, 3)(torch.randn(4, 2, 5)), ShapeError, "input_size=2"),
    (lambda: recurra.GRU(2, 3)(torch.randn(4)), ShapeError, r"\(T, B, I\)"),
    (lambda: recurra.GRU(2, 3)(torch.randn(4, 2, 2).double()), UsageError, "torch.float64"),
    (lambda: recurra.GRU(2, 3)(torch.zeros(4, 2, 2, dtype=torch.long)), UsageError, "int64"),
    (lambda: recurra.GRU(2, 3)(torch.randn(4, 2, 2), torch.zeros(1, 1, 3)), ShapeError, "state h"),
    (lambda: recurra.LSTM(2, 3)(torch.randn(4, 2, 2), torch.zeros(1, 2, 3)), ShapeError, "1 parts"),
    (lambda: recurra.GRU(2, 3)(torch.randn(4, 2, 2), None, [5, 1]), ShapeError, "0 to 4 steps"),
    (lambda: recurra.GRU(2, 3)(torch.randn(4, 2, 2), None, [1]), ShapeError, "each of the 2 rows"),
    (lambda: recurra.GRU(2, 3)(torch.randn(4, 2, 2), None, [1.0, 2.0]), ShapeError, "whole number"),
    (
        lambda: recurra.GRU(2, 3)(torch.randn(4, 2, 2), reset=torch.zeros(3, 2)),
        ShapeError,
        "reset has the shape",
    ),
    (
        lambda: recurra.Recurrent("gru", 2, 3)(torch.randn(4, 2, 2), inputs={"y": torch.zeros(1)}),
        UnknownNameError,
        "input 'y'",
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), REFUSED, ids=[r[2] for r in REFUSED])
def test_what_is_refused_says_what_to_do(call, error, text):
    with pytest.raises(error, match=text):
        call()


def test_a_foreign_state_dict_is_refused_strictly():
    layer = recurra.LSTM(2, 3)
    with pytest.raises(RuntimeError, match="Missing key"):
        layer.load_state_dict(nn.GRU(2, 3, num_layers=1, bias=False).state_dict())


def test_explain_names_backend_and_reason():
    text = recurra.LSTM(2, 3).explain()
    assert text.startswith("cpu: fused kernels")
    assert "lstm on cpu in float32" in text
    half = recurra.LSTM(2, 3).to(torch.bfloat16).explain()
    assert half.startswith("reference: ")
    assert "not cpu: it computes in float32 and float64, not in bfloat16" in half

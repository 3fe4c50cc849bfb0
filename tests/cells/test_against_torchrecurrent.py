"""Oracle: torchrecurrent runs the same weights; where its equations are not the papers', we say so.

Each case lists, for each parameter of theirs, which of our weights stand in it one under another.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from support.checks import close, layer_of
from support.torchrecurrent_cells import Case, agree, case

library = pytest.importorskip(
    "torchrecurrent", reason="torchrecurrent is not installed (pip install recurra[test])"
)

States = tuple[Tensor, ...]


class Theanos(nn.Module):
    """The hard sigmoid of Theano."""

    def forward(self, a: Tensor) -> Tensor:
        return (0.2 * a + 0.5).clamp(0, 1)


CASES: dict[str, Case] = {
    "antisymmetric": case(
        "AntisymmetricRNNCell",
        {"epsilon": 0.1, "gamma": 0.01},
        weight_ih="W_n",
        weight_hh="U_n",
        bias_ih="b_n",
    ),
    "antisymmetric_gated": case(
        "GatedAntisymmetricRNNCell",
        {"epsilon": 0.1, "gamma": 0.01},
        weight_ih="W_z W_n",
        weight_hh="U_a",
        bias_ih="b_z b_n",
    ),
    "atr": case("ATRCell", weight_ih="W_v", weight_hh="U_q"),
    "brc": case("BRCell", weight_ih="W_a W_c W_n", weight_hh="u_a u_c", bias_hh="b_a b_c"),
    "mut1": case(  # tanh(x) of the paper: theirs puts a matrix before it, here the identity
        "MUT1Cell", weight_ih="W_z W_r 1", weight_hh="U_r U_n", bias_ih="b_z b_r 0", bias_hh="0 b_n"
    ),
    "mut2": case(  # x of the paper in r: theirs puts a matrix before it, here the identity
        "MUT2Cell", weight_ih="W_z 1 W_n", weight_hh="U_z U_r U_n", bias_ih="b_z b_r b_n"
    ),
    "mut3": case(
        "MUT3Cell", weight_ih="W_z W_r W_n", weight_hh="U_z U_r U_n", bias_ih="b_z b_r b_n"
    ),
    "nbrc": case("NBRCell", weight_ih="W_a W_c W_n", weight_hh="U_a U_c", bias_hh="b_a b_c"),
    "cfn": case("CFNCell", weight_ih="W_f W_i W_h", weight_hh="U_f U_i", bias_hh="b_f b_i"),
    "cornn": case(
        "coRNNCell",
        {"dt": 0.042, "gamma": 2.7, "epsilon": 4.7},
        weight_ih="W_z",
        weight_hh="U_z",
        weight_ch="V_z",
        bias_ih="b_z",
    ),
    "fastrnn": case(
        "FastRNNCell",
        weight_ih="W_n",
        weight_hh="U_n",
        bias_ih="b_n",
        alpha="alpha_h",
        beta="beta_h",
    ),
    "fastgrnn": case(  # their default puts tanh in the place of the gate's sigmoid
        "FastGRNNCell",
        {"nonlinearity": "sigmoid"},
        weight_ih="W_s",
        weight_hh="U_s",
        bias_ih="b_z b_n",
        zeta="zeta_h",
        nu="nu_h",
    ),
    "indrnn": case(  # the paper uses ReLU
        "IndRNNCell", {"nonlinearity": "relu"}, weight_ih="W_h", vector_u="u_h", bias_ih="b_h"
    ),
    "ugrnn": case("UGRNNCell", weight_ih="W_n W_g", weight_hh="U_n U_g", bias_ih="b_n b_g"),
    "ligru": case("LiGRUCell", weight_ih="W_z W_n", weight_hh="U_z U_n", bias_ih="b_z b_n"),
    "lightru": case("LightRUCell", weight_ih="W_n W_f", weight_hh="U_f", bias_ih="0 b_f"),
    "lstm_multiplicative": case(
        "MultiplicativeLSTMCell",
        weight_ih="W_m W_i W_f W_g W_o",
        weight_hh="U_m",
        weight_mh="U_i U_f U_g U_o",
        bias_mh="b_i b_f b_g b_o",
    ),
    "lstm_peephole": case(
        "PeepholeLSTMCell",
        weight_ih="W_i W_f W_g W_o",
        weight_hh="U_i U_f U_g U_o",
        weight_ph="v_i v_f v_o",
        bias_ih="b_i b_f b_g b_o",
    ),
    "lstm_residual": case(
        "ResLSTMCell",
        weight_ih="W_i W_f W_g W_o",
        weight_hh="U_i U_f U_g U_o",
        weight_ph="v_i v_f v_o",
        weight_proj="R_h",
        weight_res="W_h",
        bias_ih="b_i b_f b_g b_o",
    ),
    "lstm_working_memory": case(
        "WMCLSTMCell",
        weight_ih="W_i W_f W_g W_o",
        weight_hh="U_i U_f U_g U_o",
        weight_mh="V_i V_f V_o",
        bias_ih="b_i b_f b_g b_o",
    ),
    "mgu": case("MGUCell", weight_ih="W_f W_n", weight_hh="U_f U_n", bias_ih="b_f b_n"),
    "minimal_rnn": case(
        "MinimalRNNCell",
        weight_ih="W_z",
        weight_hh="U_u",
        weight_mm="V_u",
        bias_ih="b_z",
        bias_hh="b_u",
    ),
    "miru1": case("MiRU1Cell", weight_ih="W_r W_n", weight_hh="U_r U_n", bias_ih="b_r b_n"),
    "miru2": case("MiRU2Cell", weight_ih="W_n", weight_hh="U_n", bias_ih="b_n"),
    "ran": case("RANCell", weight_ih="W_n W_i W_f", weight_hh="U_i U_f", bias_ih="b_i b_f"),
    "sgrn": case("SGRNCell", weight_ih="W_a", weight_hh="U_f", bias_hh="b_f"),
    "sgu": case(  # torch's hard sigmoid has another slope than that of the paper's time
        "SGUCell",
        {"gate_nonlinearity": Theanos()},
        weight_ih="W_a W_z",
        weight_hh="U_m U_z",
        bias_ih="b_a b_z",
    ),
    "dsgu": case(
        "DSGUCell",
        {"gate_nonlinearity": Theanos()},
        weight_ih="W_a W_z",
        weight_hh="U_m U_z",
        weight_ho="V_n",
        bias_ih="b_a b_z",
    ),
    "star": case("STARCell", weight_ih="W_n W_k", weight_hh="U_k", bias_ih="b_n b_k"),
    "trnn": case("TRNNCell", weight_ih="W_z W_f", bias_ih="0 b_f"),
    "unicornn": case(
        "UnICORNNCell",
        {"dt": 0.1, "alpha": 1.0},
        weight_ih="W_z",
        weight_hh="u_z",
        weight_ch="v_z",
        bias_ih="b_z",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_same_equations(name: str) -> None:
    layer = layer_of(name)
    agree(CASES[name], layer, CASES[name].make(layer))


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("fastgrnn", {"nonlinearity": "tanh"}),
        ("indrnn", {"nonlinearity": "tanh"}),
        ("sgu", {"gate_nonlinearity": "hard_sigmoid"}),
        ("dsgu", {"gate_nonlinearity": "hard_sigmoid"}),
    ],
)
def test_their_default_is_another(name: str, default: dict[str, Any]) -> None:
    layer = layer_of(name)
    with pytest.raises(AssertionError):
        agree(CASES[name], layer, CASES[name].make(layer, **default))


# Cells with another call, or with other equations than those of the paper.

JANET = case("JANETCell", weight_ih="W_s W_n", weight_hh="U_s U_n", bias_ih="b_s b_n", beta="-")
INTERSECTION = case(
    "IntersectionRNNCell",
    weight_ih="W_y_in W_h_in W_g_y W_g_h",
    weight_hh="U_y_in U_h_in U_g_y U_g_h",
    bias_ih="b_y_in b_h_in b_g_y b_g_h",
)
CONTROLLER = case(
    "MCLSTMCell",
    weight_ih="W_f W_i W_o W_m W_n",
    weight_hh="U_f U_i U_o U_m U_n",
    bias_ih="b_f b_i b_o b_m b_n",
)
TAU = case("tauGRUCell", weight_ih="W_u W_z W_g W_a", weight_hh="U_u U_z U_g U_a")
LEM = case(
    "LEMCell",
    weight_ih="W_d W_a W_z W_y",
    weight_hh="U_d U_a U_z",
    weight_ch="U_y",
    bias_ih="b_d b_a b_z b_y",
)
NAS = case(
    "NASCell",
    weight_ih="W_a W_b W_d W_e W_f W_g W_i W_j",
    weight_hh="U_a U_b U_d U_e U_f U_g U_i U_j",
)
SCRN = case(
    "SCRNCell",
    {"alpha": 0.95},
    weight_ih="W_s W_h",
    weight_hh="U_h U_y",
    weight_ch="V_h V_y",
    alpha="-",
)
LSTM_1997 = case(
    "OriginalLSTMCell", weight_ih="W_i W_g W_o", weight_hh="U_i U_g U_o", bias_ih="b_i b_g b_o"
)


def test_janet_whose_state_they_keep_twice() -> None:
    def step(cell: nn.Module, x: Tensor, states: States) -> tuple[Tensor, States]:
        h, _ = cell(x, (states[0], states[0]))
        return h, (h,)

    layer = layer_of("janet")
    agree(JANET, layer, JANET.make(layer), step)


def test_intersection_rnn() -> None:
    def step(cell: nn.Module, x: Tensor, states: States) -> tuple[Tensor, States]:
        y, h = cell(x, states[0])
        return y, (h,)

    layer = layer_of("intersection_rnn")
    agree(INTERSECTION, layer, INTERSECTION.make(layer), step)


def test_lstm_memory_controller() -> None:
    layer = layer_of("lstm_memory_controller")
    agree(CONTROLLER, layer, CONTROLLER.make(layer), lambda cell, x, states: cell(x, states))


def test_tau_gru() -> None:
    def step(cell: nn.Module, x: Tensor, states: States) -> tuple[Tensor, States]:
        new = cell(x, states[0], states[5])
        return new, (new, *states[:5])

    layer = layer_of("tau_gru")
    agree(TAU, layer, TAU.make(layer), step)


def test_delay_of_tau_gru() -> None:
    """Their layer keeps the history itself."""
    layer = layer_of("tau_gru")
    theirs = library.tauGRU(layer.input_size, 3, delay=5).double()
    theirs.cells[0].load_state_dict(TAU.make(layer).state_dict())
    x = torch.randn(9, 2, layer.input_size, dtype=torch.float64)
    close(layer(x)[0], theirs(x)[0])


@pytest.mark.parametrize("name", ["tgru", "tlstm"])
def test_typed_cells_that_keep_the_input_before(name: str) -> None:
    """Theirs keeps x, ours its products; both begin with an x of 0."""
    typed = case(
        "TGRUCell" if name == "tgru" else "TLSTMCell",
        weight_ih="W_z W_f W_o",
        weight_hh="V_z V_f V_o",
        bias_ih="b_z b_f b_o",
    )
    layer = layer_of(name)
    before = [torch.zeros(2, 2, dtype=torch.float64)]

    def step(cell: nn.Module, x: Tensor, states: States) -> tuple[Tensor, States]:
        output, after = cell(x, (states[0], before[0]))
        before[0] = x
        memory = output if name == "tgru" else after[0]
        return output, (memory, *(x @ cell.weight_hh.T).chunk(3, 1))

    agree(typed, layer, typed.make(layer), step, starts=1)


def test_lem_where_they_read_the_old_z() -> None:
    """Equation 3 of the paper gives the new z to y; a second call of their cell does so."""

    def corrected(cell: nn.Module, x: Tensor, states: States) -> tuple[Tensor, States]:
        y, z = states
        new = cell(x, (y, z))[1]
        output = cell(x, (y, new))[0]
        return output, (output, new)

    layer = layer_of("lem")
    with pytest.raises(AssertionError):
        agree(LEM, layer, LEM.make(layer), by_weight=False)
    agree(LEM, layer, LEM.make(layer), corrected)


def test_nas_where_they_add_what_the_paper_multiplies() -> None:
    """relu(W_e x * U_e h) in the paper, relu(W_e x + U_e h) in theirs: equal where both are 0."""
    layer = layer_of("nas")
    with pytest.raises(AssertionError):
        agree(NAS, layer, NAS.make(layer), by_weight=False)
    for name in ("W_e", "U_e"):
        layer.set_weight(name, torch.zeros_like(layer.weight(name)))
    agree(NAS, layer, NAS.make(layer))


def test_scrn_where_they_feed_back_the_output() -> None:
    """The paper feeds back h; their output is tanh(y), and so is what they feed back.

    A second cell of theirs that gives out tanh(h) lets us read h.
    """
    layer = layer_of("scrn")
    theirs = SCRN.make(layer)
    inner = SCRN.make(layer)
    with torch.no_grad():
        theirs.alpha.fill_(0.95)  # it is made in float32
        inner.alpha.fill_(0.95)
        inner.weight_hh[3:] = torch.eye(3)
        inner.weight_ch[3:] = 0

    def corrected(cell: nn.Module, x: Tensor, states: States) -> tuple[Tensor, States]:
        y, s = cell(x, states)
        return torch.atanh(y), (torch.atanh(inner(x, states)[0]), s)

    with pytest.raises(AssertionError):
        agree(SCRN, layer, theirs, by_weight=False)
    agree(SCRN, layer, theirs, corrected, by_weight=False)


def test_lstm_1997_whose_squashing_they_replace_by_tanh() -> None:
    """4 sigmoid(a) - 2 is 2 tanh(a / 2): with half the weights of g and half the memory, equal."""
    layer = layer_of("lstm_1997")
    theirs = LSTM_1997.make(layer)
    with pytest.raises(AssertionError):
        agree(LSTM_1997, layer, theirs, by_weight=False)

    def halved(cell: nn.Module, x: Tensor, states: States) -> tuple[Tensor, States]:
        h, c = cell(x, (states[0], states[1] / 2))
        return h, (h, 2 * c)

    with torch.no_grad():
        for parameter in (theirs.weight_ih, theirs.weight_hh, theirs.bias_ih):
            parameter[3:6] /= 2
    agree(LSTM_1997, layer, theirs, halved, by_weight=False)

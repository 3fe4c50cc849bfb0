"""Measures of health: against numbers by hand, and faults that are put in on purpose."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from recurra import Recurrent
from recurra.graph import cell
from recurra.inspection import check_health, first_fault, half_lives, record, spectral_radii

INF, NAN = float("inf"), float("nan")


def test_share_of_saturated_gates_counts_each_unit_within_the_lengths() -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(3, 5, bidirectional=True)
    with torch.no_grad():
        layer.weight_ih_l0.mul_(8)
    recording = record(layer, nn.utils.rnn.pack_padded_sequence(torch.randn(9, 2, 3), [9, 4]))
    found = {gate.address: gate for gate in check_health(recording).gates}
    assert [address.rpartition(".")[2] for address in found] == ["i", "f", "o"] * 2
    for address, gate in found.items():
        value = recording[address].detach().numpy()
        lived = np.concatenate([value[:9, 0], value[:4, 1]])  # padding is 0 and would count as shut
        np.testing.assert_allclose(gate.low, (lived < 0.1).mean(0))
        np.testing.assert_allclose(gate.high, (lived > 0.9).mean(0))
        assert gate.shut == pytest.approx((lived < 0.1).mean())
        assert gate.open == pytest.approx((lived > 0.9).mean())
        assert gate.mean == pytest.approx(lived.mean(), rel=1e-5)
        assert gate.of == ("c" if address.endswith("f") else "")
    assert found["rnn.0.forward.i"].shut > 0


def test_dead_constant_and_full_units() -> None:
    layer = Recurrent("elman_relu", 2, 3)
    with torch.no_grad():
        layer.weight("U_h").zero_()
        layer.weight("W_h").copy_(torch.tensor([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]))
        layer.set_weight("b_h", torch.tensor([-1.0, 0.5, 0.0]))
    (units,) = check_health(record(layer, torch.randn(6, 2, 2), lengths=[6, 3])).units
    assert (units.address, units.size) == ("rnn.0.forward.h", 3)
    assert (units.dead, units.constant, units.full) == ((0,), (0, 1), None)

    layer = Recurrent("elman", 2, 2)
    with torch.no_grad():
        layer.set_weight("U_h", 0.0)
        layer.set_weight("W_h", 0.0)
        layer.set_weight("b_h", torch.tensor([9.0, 0.5]))
    (units,) = check_health(record(layer, torch.randn(6, 2, 2), lengths=[6, 3])).units
    assert units.full == 0.5


@pytest.mark.parametrize(("name", "gate"), [("lstm", "f"), ("gru", "z"), ("lightru", "1 - f")])
def test_half_life_is_the_time_in_which_the_product_of_gates_halves(name: str, gate: str) -> None:
    torch.manual_seed(1)
    layer = Recurrent(name, 3, 4, dtype=torch.float64)
    recording = record(layer, torch.randn(40, 1, 3, dtype=torch.float64))
    (found,) = half_lives(recording)
    kept = recording[f"rnn.0.forward.{gate[-1]}"][:, 0].detach().numpy()
    kept = 1 - kept if gate.startswith("1") else kept
    assert found.keep == gate
    # After `steps` steps the product of the 40 gates, spread evenly, is one half.
    np.testing.assert_allclose((kept.prod(0) ** (1 / 40)) ** found.steps.numpy(), 0.5)
    assert found.median == found.steps.sort().values[2]


def test_half_life_of_a_gate_that_is_nearly_one_is_exact_and_of_one_or_zero_is_defined() -> None:
    layer = nn.LSTM(1, 4)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[4:8] = torch.tensor([20.0, 200.0, -200.0, 0.0])
    (found,) = half_lives(record(layer, torch.zeros(3, 1, 1)))
    # 1 - sigmoid(20) is far below what float32 can tell from 1.
    expected = math.log(0.5) / math.log1p(-1 / (1 + math.exp(20)))
    assert found.steps[0].item() == pytest.approx(expected, rel=1e-5)
    assert found.steps[1:].tolist() == [INF, pytest.approx(math.log(2) / 200), 1.0]

    layer = Recurrent("lstm_1997", 1, 2)
    assert half_lives(record(layer, torch.zeros(3, 1, 1)))[0].steps.tolist() == [INF, INF]

    @cell(state="h")
    def closed(p, x, h):
        f = p.W_f @ x > 0
        h = f * h + p.W_n @ x
        return h

    layer = Recurrent(closed, 1, 1)
    (found,) = half_lives(record(layer, torch.zeros(3, 1, 1)))
    assert found.steps.tolist() == [0.0]


def test_spectral_radii_are_those_of_numpy_also_of_torch_layers() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.GRU(3, 5, num_layers=2, bidirectional=True))
    found = spectral_radii(model)
    assert [name.rpartition(".")[2] for name in found] == ["U_r", "U_z", "U_n"] * 4
    stacked = model[0].weight_hh_l1_reverse.detach().numpy()
    for number, gate in enumerate("rzn"):
        own = np.abs(np.linalg.eigvals(stacked[5 * number : 5 * number + 5])).max()
        assert found[f"0.1.reverse.U_{gate}"] == pytest.approx(own, rel=1e-4)


def test_spectral_radius_of_vectors_and_of_matrices_that_are_computed() -> None:
    layer = Recurrent("indrnn", 3, 5)
    layer.set_weight("u_h", torch.tensor([0.5, -2.0, 0, 0, 1.0]))
    assert spectral_radii(layer) == {"rnn.0.forward.u_h": 2.0}

    layer = Recurrent("antisymmetric", 3, 2)
    layer.set_weight("U_n", torch.tensor([[1.0, 3.0], [1.0, 4.0]]))
    found = spectral_radii(layer)
    assert found == {"rnn.0.forward.U_n - transpose(U_n)": pytest.approx(2.0)}

    layer = nn.LSTM(3, 5, proj_size=2)  # U is (5, 2): it has no eigenvalues
    assert spectral_radii(layer) == {}

    layer = Recurrent("elman", 2, 2)
    layer.set_weight("U_h", NAN)
    assert math.isnan(spectral_radii(layer)["rnn.0.forward.U_h"])


def test_no_fault_in_a_healthy_run() -> None:
    assert first_fault(record(nn.LSTM(3, 5), torch.randn(4, 2, 3))) is None


def test_a_bad_weight_is_named_with_the_first_place_that_it_reaches() -> None:
    model = Recurrent("lstm", 3, 5, num_layers=2, bidirectional=True)
    weight = model.weight("U_g", 1, "reverse")
    with torch.no_grad():
        weight[4, 2] = INF
    state = tuple(torch.ones(4, 2, 5) for _ in range(2))
    fault = first_fault(record(model, (torch.randn(6, 2, 3), state), lengths=[6, 3]))
    assert (fault.part, fault.value, fault.unit) == ("rnn.1.reverse", "g_pre", 4)
    assert (fault.row, fault.step, fault.weights) == (0, 5, ("U_g",))  # reverse begins at the end
    assert str(fault) == (
        "the first infinity is rnn.1.reverse.g_pre[4] in step 5, row 0: U_g is a weight that is "
        "not finite"
    )


def test_a_bad_input_is_placed_in_its_step_and_row() -> None:
    x = torch.randn(6, 3, 3)
    x[4, 2, 1] = NAN
    x[2, 1] = NAN  # after the end of its row: nobody reads it
    fault = first_fault(
        record(nn.GRU(3, 5), nn.utils.rnn.pack_padded_sequence(x, [6, 2, 5], enforce_sorted=False))
    )
    assert (fault.address, fault.step, fault.row) == ("rnn.0.forward.r_pre[0]", 4, 2)
    assert (fault.kind, fault.weights) == ("NaN", ())


def test_the_reverse_direction_meets_its_faults_from_the_end() -> None:
    x = torch.randn(6, 1, 3)
    x[1] = x[4] = NAN
    recording = record(nn.GRU(3, 5, bidirectional=True), x, "rnn.0.reverse.*")
    fault = first_fault(recording)
    assert (fault.part, fault.step) == ("rnn.0.reverse", 4)


def test_rows_that_run_backwards_are_at_different_times() -> None:
    """Both rows fail in step 2 of time, which the shorter one runs first."""
    x = torch.randn(6, 2, 3)
    x[2] = NAN
    packed = nn.utils.rnn.pack_padded_sequence(x, [6, 3])
    fault = first_fault(record(nn.GRU(3, 5, bidirectional=True), packed, "rnn.0.reverse.*"))
    assert (fault.step, fault.row) == (2, 1)


def test_a_bad_state_before_the_first_step() -> None:
    state = torch.zeros(1, 2, 5)
    state[0, 1, 3] = -INF
    fault = first_fault(record(nn.GRU(3, 5), (torch.randn(4, 2, 3), state)))
    assert (fault.value, fault.step, fault.row, fault.unit) == ("h", -1, 1, 3)
    assert str(fault) == ("the first -infinity is rnn.0.forward.h[3] before the first step, row 1")

"""Inputs far from one, as of data that nobody scaled, give finite numbers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recurra import cells
from recurra.graph import softplus
from recurra.nn import Recurrent


@pytest.mark.parametrize("name", cells.names())
def test_large_inputs_give_finite_outputs_and_gradients(name: str) -> None:
    torch.manual_seed(0)
    layer = Recurrent(name, 6, 6, sizes={"P": 3} if name == "lstm_projection" else None)
    output, _ = layer(torch.randn(12, 2, 6) * 1e4)
    assert output.isfinite().all()
    if name == "rg_lru":  # where a gate is shut, a is 1, and the slope of sqrt(1 - a^2) infinite
        return
    output.mean().backward()
    slopes = [weight.grad for weight in layer.parameters() if weight.grad is not None]
    assert slopes
    assert all(slope.isfinite().all() for slope in slopes)


def test_the_first_write_of_slstm_is_taken_whole() -> None:
    """c / n is z after one write, however small the gate of the input is."""
    layer = Recurrent("slstm", 1, 1, init={"*": 0.0, "b_z": 1.0, "b_i": -1000.0, "b_f": -2000.0})
    output, (_, _, n, m) = layer(torch.zeros(1, 1, 1))
    assert output.item() == pytest.approx(0.5 * torch.tanh(torch.tensor(1.0)).item())
    assert (n.item(), m.item()) == (1.0, -1000.0)


def test_two_closed_gates_of_minlstm_share_as_their_logarithms_say() -> None:
    """f / (f + i) of exp(-1000) and exp(-1000 + ln 3) is 1/4."""
    three = torch.tensor(3.0).log().item()
    wishes = {"*": 0.0, "b_f": -1000.0, "b_i": -1000.0 + three, "b_n": 1.0}
    output, _ = Recurrent("minlstm", 1, 1, init=wishes)(torch.zeros(1, 1, 1))
    assert output.item() == pytest.approx(0.75, abs=1e-4)


def test_softplus_of_large_values_is_the_value() -> None:
    values = torch.tensor([-2e3, -30.0, 39.0, 41.0, 2e3], dtype=torch.float64)
    layer = Recurrent(soft, 1, 1, init={"W_h": 1.0, "U_h": 0.0}, dtype=torch.float64)
    output, _ = layer(values.view(1, 5, 1))
    zero = torch.zeros((), dtype=torch.float64)
    torch.testing.assert_close(output.flatten(), torch.logaddexp(values, zero), rtol=1e-15, atol=0)


def soft(p: Any, x: Any, h: Any) -> Any:
    h = softplus(p.W_h @ x + p.U_h @ h)
    return h

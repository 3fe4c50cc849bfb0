"""Wishes for initial values between two bounds."""

from __future__ import annotations

import pytest
import torch

from recurra import Recurrent
from recurra.errors import UnknownNameError


def test_uniform_between_two_bounds() -> None:
    torch.manual_seed(0)
    layer = Recurrent("elman", 2, 500, init={"b_h": "uniform -9 -4.5"})
    bias = layer.weight("b_h")
    assert bias.min() >= -9
    assert bias.max() <= -4.5
    assert bias.mean().item() == pytest.approx(-6.75, abs=0.2)


@pytest.mark.parametrize("wish", ["uniform 1", "uniform a b", "uniform 1 2 3"])
def test_bounds_that_are_none(wish: str) -> None:
    with pytest.raises(UnknownNameError, match="uniform LOW HIGH"):
        Recurrent("elman", 2, 3, init={"b_h": wish})


def test_periods_of_the_phased_cell_are_those_of_the_paper() -> None:
    """Exponential of a number between 0 and 3; a shift within one period."""
    torch.manual_seed(0)
    layer = Recurrent("lstm_phased", 2, 500)
    tau = layer.weight("b_tau").exp()
    assert 1 <= tau.min() < 2
    assert 15 < tau.max() <= torch.e**3
    assert layer.weight("v_phi").min() >= 0
    assert layer.weight("v_phi").max() <= 1


def test_the_decay_of_rg_lru_starts_near_one() -> None:
    """A whole step keeps 0.9 to 0.999."""
    a = torch.exp(-8 * torch.nn.functional.softplus(Recurrent("rg_lru", 2, 500).weight("v_a")))
    assert a.min() > 0.895
    assert a.max() < 0.9991


def test_bistable_and_oscillating_units_start_as_in_their_authors_programs() -> None:
    torch.manual_seed(0)
    brc, unicornn = Recurrent("brc", 2, 500), Recurrent("unicornn", 2, 500)
    assert all(brc.weight(name).eq(1).all() for name in ("u_a", "u_c"))
    w, c = unicornn.weight("u_z"), unicornn.weight("v_z")
    assert 0 <= w.min() < 0.1
    assert 0.9 < w.max() <= 1
    assert -0.1 <= c.min() < -0.09
    assert 0.09 < c.max() <= 0.1

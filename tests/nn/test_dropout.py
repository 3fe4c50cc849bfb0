"""Masks: the share of zeros, the mean, no pattern between neighbours; torch's as the measure."""

from __future__ import annotations

import pytest
import torch

from recurra.errors import UsageError
from recurra.nn import Dropout
from recurra.nn.dropout import drawn, mask

N = 400_003  # no multiple of 4


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.2, 0.5, 0.9, 1.0])
def test_share_of_zeros_and_mean(rate):
    torch.manual_seed(0)
    values = mask(torch.empty(0), rate, (N,))
    assert values.shape == (N,)
    spread = (rate * (1 - rate) / N) ** 0.5
    assert abs((values == 0).float().mean().item() - rate) <= 5 * spread + 2**-16
    if rate < 1:
        assert len(values.unique()) == (1 if rate == 0 else 2)
        assert abs(values.mean().item() - 1) <= 5 * spread / (1 - rate) + 1e-6
    assert torch.nn.functional.dropout(torch.ones(9), rate).unique().max() <= values.max() * 1.001


def test_neighbours_know_nothing_of_each_other():
    torch.manual_seed(1)
    values = drawn(torch.empty(0), 0.3, (4 * 100_000,)).float().view(-1, 4) - 0.3
    together = values.T @ values / len(values)
    expected = torch.eye(4) * 0.3 * 0.7
    torch.testing.assert_close(together, expected, atol=0.005, rtol=0)


def test_the_module_acts_in_training_only_and_repeats_with_the_seed():
    module = Dropout(0.4)
    x = torch.randn(50, 7, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(2)
    first = module(x)
    torch.manual_seed(2)
    assert torch.equal(first, module(x))
    (gradient,) = torch.autograd.grad(first.sum(), x)
    kept = 1 - round(0.4 * 2**16) / 2**16
    torch.testing.assert_close(gradient, (first != 0).to(x.dtype) / kept)
    assert module.eval()(x) is x
    assert repr(module) == "Dropout(p=0.4)"
    with pytest.raises(UsageError, match="p=2"):
        Dropout(2)

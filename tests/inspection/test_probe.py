"""The finder of units: its solver against scikit-learn, and units that are known to know."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from recurra.errors import ShapeError, UsageError
from recurra.inspection import find_units, find_units_of, record
from recurra.inspection.sparse_logistic import largest_strength, path


def examples(count: int = 400, units: int = 30, seed: int = 0):
    """States, and labels that two of the units know, one of them badly."""
    source = torch.Generator().manual_seed(seed)
    states = torch.randn(count, units, generator=source).double()
    score = 3 * states[:, 7] - states[:, 11] + 0.5 * torch.randn(count, generator=source)
    return states, score > 0.4


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_the_solver_against_scikit_learn(share: float) -> None:
    states, labels = examples()
    strength = share * largest_strength(states, labels)
    *_, fit = path(states, labels, [strength], tolerance=1e-9)
    theirs = LogisticRegression(
        l1_ratio=1, C=1 / (strength * len(states)), solver="saga", tol=1e-8, max_iter=100_000
    ).fit(states.numpy(), labels.numpy())
    np.testing.assert_allclose(fit.weight, theirs.coef_[0], atol=1e-5)
    np.testing.assert_allclose(fit.intercept, theirs.intercept_[0], atol=1e-5)
    assert ((fit.weight == 0).numpy() == (np.abs(theirs.coef_[0]) < 1e-9)).all()


def test_the_largest_strength_is_the_least_without_weights() -> None:
    states, labels = examples()
    top = largest_strength(states, labels)
    above, below = path(states, labels, [1.001 * top, 0.98 * top])
    assert not above.weight.any()
    assert below.weight.count_nonzero() == 1


def test_the_units_that_know_are_ranked_first() -> None:
    states, labels = examples(2000)
    plain = find_units(states, labels)
    states[:, 7] *= 1e-3
    found = find_units(states, labels)
    for unit, other in zip(found.units, plain.units, strict=True):  # its scale does not matter
        assert unit.weight == pytest.approx(other.weight, rel=1e-4)
    assert [unit.number for unit in found.units[:2]] == [7, 11]
    assert found.units[0].weight > 0 > found.units[1].weight
    assert found.accuracy > 0.9
    assert found.examples == (1500, 500)
    assert abs(found.base_rate - 0.55) < 0.05
    assert found.base_rate < found.units[1].alone < found.units[0].alone < found.accuracy + 0.02


def test_the_threshold_of_one_unit_is_the_best_of_all() -> None:
    states, labels = examples(400, 12, seed=4)
    states[:, 1] = torch.where(labels, -1.0, 1.0) * (torch.rand(400).double() > 0.2)  # three values
    found = {unit.number: unit.alone for unit in find_units(states, labels, held_out=0.5).units}
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    tested, fitted = order[:200].sort().values, order[200:].sort().values
    for unit, alone in found.items():
        rates = {}
        for edge in [-9.0, *((states[:, unit] + 1e-9).tolist())]:
            for sign in (1, -1):
                said = sign * (states[:, unit] - edge) > 0
                hits = (said == labels)[fitted].double().mean()
                rates[(edge, sign)] = (hits, (said == labels)[tested].double().mean())
        best = max(hits for hits, _ in rates.values())
        possible = [float(other) for hits, other in rates.values() if hits == best]
        assert min(possible) - 0.03 <= alone <= max(possible) + 0.03


def test_labels_that_no_unit_knows_are_not_found() -> None:
    states, _ = examples(2000)
    labels = torch.rand(2000, generator=torch.Generator().manual_seed(1)) > 0.3
    found = find_units(states, labels)
    assert found.accuracy == pytest.approx(found.base_rate, abs=0.03)


def test_groups_are_held_out_whole() -> None:
    """Each group has a state of its own and a random label, which only its own examples tell."""
    source = torch.Generator().manual_seed(2)
    groups = torch.arange(40).repeat_interleave(20)
    centres = torch.randn(40, 60, generator=source).double()
    states = centres[groups] + 0.01 * torch.randn(800, 60, generator=source).double()
    labels = (torch.rand(40, generator=source) > 0.5)[groups]
    assert find_units(states, labels).accuracy > 0.95  # it has seen the group
    assert find_units(states, labels, groups).accuracy < 0.85


def test_a_recorded_unit_that_counts() -> None:
    """Unit 2 of a GRU adds up the first feature; the label is that its sum is above 0."""
    torch.manual_seed(3)
    layer = nn.RNN(2, 6, nonlinearity="relu")
    with torch.no_grad():
        layer.weight_hh_l0[2] = torch.eye(6)[2]
        layer.weight_ih_l0[2] = torch.tensor([1.0, 0.0])
        layer.bias_ih_l0[2] = layer.bias_hh_l0[2] = 0
    x = torch.randn(12, 64, 2)
    lengths = torch.randint(1, 13, (64,))
    recording = record(
        layer, nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False), "h"
    )
    labels = recording["rnn.0.forward.h"][..., 2] > 0.5
    found = find_units_of(recording, "rnn.0.forward.h", labels)
    assert found.units[0].number == 2
    assert found.units[0].alone == 1.0
    assert sum(found.examples) == int(lengths.sum())

    last = labels[lengths - 1, torch.arange(64)]
    found = find_units_of(recording, "rnn.0.forward.h", last)
    assert (found.units[0].number, sum(found.examples)) == (2, 64)

    one = record(layer, torch.randn(300, 1, 2), "h")
    labels = one["rnn.0.forward.h"][..., 2] > 0.5
    assert find_units_of(one, "rnn.0.forward.h", labels).units[0].number == 2


def test_mistakes_are_named() -> None:
    states, labels = examples(100)
    with pytest.raises(ShapeError, match=r"labels are \(99,\); there are 100 states"):
        find_units(states, labels[:99])
    with pytest.raises(UsageError, match="labels == kind"):
        find_units(states, torch.arange(100) % 3)
    with pytest.raises(UsageError, match="needs both kinds"):
        find_units(states, torch.ones(100))
    with pytest.raises(UsageError, match="25% of 1 groups of examples cannot be held out"):
        find_units(states, labels, torch.zeros(100))
    recording = record(nn.GRU(3, 4), torch.randn(5, 2, 3))
    with pytest.raises(ShapeError, match=r"they need \(5, 2\)"):
        find_units_of(recording, "rnn.0.forward.h", torch.ones(3))

"""Logistic regression with an L1 penalty, by accelerated proximal gradient descent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Fit(NamedTuple):
    """A sparse linear classifier.

    Attributes:
        strength: of the penalty.
        weight: (H,).
        intercept: (), not penalised.
    """

    strength: float
    weight: Tensor
    intercept: Tensor

    def scores(self, features: Tensor) -> Tensor:
        """(N,) above 0 where the label is held to be true."""
        return features @ self.weight + self.intercept


def path(
    features: Tensor,
    labels: Tensor,
    strengths: Sequence[float],
    tolerance: float = 1e-6,
    most_steps: int = 5000,
) -> Iterator[Fit]:
    """Minimise mean(log(1 + exp(-y (x w + b)))) + strength * |w|_1, for each strength in turn.

    FISTA (Beck & Teboulle 2009, SIAM J. Imaging Sciences 2(1)) with restarts (O'Donoghue & Candès
    2015, arXiv:1204.3982); each strength starts from the solution of the one before, so let them
    fall.

    Args:
        features: (N, H), of similar scale.
        labels: (N,) bool.
        strengths: of the penalty; in scikit-learn's terms 1 / (C N).
        tolerance: largest change of a weight in the last step, in units of the features.
        most_steps: for one strength.
    """
    x = torch.cat([features, features.new_ones(len(features), 1)], 1)
    y = labels.to(x.dtype)
    count = len(x)
    # The gradient of the loss changes at most by this share of a change of the weights.
    slope = float(torch.linalg.eigvalsh(x.T @ x / count)[-1]) / 4
    weight = x.new_zeros(x.shape[1])
    for strength in strengths:
        ahead, momentum = weight.clone(), 1.0
        for _ in range(most_steps):
            gradient = x.T @ (torch.sigmoid(x @ ahead) - y) / count
            new = ahead - gradient / slope
            new[:-1] = torch.sign(new[:-1]) * (new[:-1].abs() - strength / slope).clamp(min=0)
            moved = new - weight
            if float((ahead - new) @ moved) > 0:
                momentum = 1.0
            grown = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
            ahead = new + (momentum - 1) / grown * moved
            weight, momentum = new, grown
            if float(moved.abs().max()) <= tolerance:
                break
        yield Fit(strength, weight[:-1].clone(), weight[-1].clone())


def largest_strength(features: Tensor, labels: Tensor) -> float:
    """The least strength at which all weights are 0."""
    y = labels.to(features.dtype)
    return float((features.T @ (y - y.mean())).abs().max()) / len(features)

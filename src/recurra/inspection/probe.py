"""A finder of units: which of them know a label, by a sparse linear probe."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.errors import ShapeError, UsageError
from recurra.inspection.recording import Recording
from recurra.inspection.sparse_logistic import Fit, largest_strength, path

_STRENGTHS = 20  # tried, from one at which no unit counts down to a thousandth of it


@dataclass(frozen=True)
class Unit:
    """A unit that the probe uses.

    Attributes:
        number: of the unit, from 0.
        weight: in the probe, for one standard deviation of the unit; above 0 speaks for the label.
        alone: accuracy on the held-out examples of the best threshold on this unit alone.
    """

    number: int
    weight: float
    alone: float


@dataclass(frozen=True, eq=False)
class Probe:
    """What the units know of a label.

    Attributes:
        units: those with a weight, the largest first.
        accuracy: of the probe on the held-out examples.
        base_rate: on the same examples, of always naming the label that is more frequent in the
            others; a probe that is no better has found nothing.
        strength: of the penalty that was chosen.
        examples: (fitted, held out).
    """

    units: tuple[Unit, ...]
    accuracy: float
    base_rate: float
    strength: float
    examples: tuple[int, int]


@torch.no_grad()
def find_units(
    states: Tensor,
    labels: Tensor,
    groups: Tensor | None = None,
    held_out: float = 0.25,
    seed: int = 0,
) -> Probe:
    """The units from which a label can be read, by logistic regression with an L1 penalty.

    Radford, Jozefowicz & Sutskever 2017, arXiv:1704.01444, found their sentiment unit so. States
    are standardised; the strength of the penalty is the one of 20 that does best on a quarter of
    the fitted examples (the strongest of equals, for few units), then all of them are fitted.

    Args:
        states: (N, H).
        labels: (N,) true or false; for labels of several kinds, one kind against the rest.
        groups: (N,) whole numbers; examples of one group, such as the steps of one text, are held
            out together, for they are alike. None: each example by itself.
        held_out: share of the groups that only measure.
        seed: of the choice of groups.

    Raises:
        ShapeError: states and labels that do not fit.
        UsageError: labels that are all the same where they are fitted or measured, or no groups to
            hold out.
    """
    states, labels = states.detach().flatten(1).cpu().double(), _labels(labels, len(states))
    groups = torch.arange(len(states)) if groups is None else groups.cpu()
    if groups.shape != labels.shape:
        raise ShapeError(f"{tuple(groups.shape)} groups were given for {len(labels)} examples.")
    source = torch.Generator().manual_seed(seed)
    fitted, tested = _divided(groups, held_out, source)
    inner, chosen = _divided(groups[fitted], 0.25, source)
    for part in (fitted, tested, fitted[inner]):
        _check_both(labels[part])

    first = _Scale(states[fitted[inner]])
    x, y = first(states[fitted[inner]]), labels[fitted[inner]]
    strengths = _strengths(x, y)
    other = first(states[fitted[chosen]])
    rates = [_share(fit.scores(other) > 0, labels[fitted[chosen]]) for fit in path(x, y, strengths)]
    best = strengths[rates.index(max(rates))]

    scale = _Scale(states[fitted])
    x = scale(states[fitted])
    *_, fit = path(x, labels[fitted], [s for s in strengths if s >= best])
    right = labels[tested]
    return Probe(
        _units(fit, states, labels, fitted, tested),
        _share(fit.scores(scale(states[tested])) > 0, right),
        _share(torch.full_like(right, _most(labels[fitted])), right),
        best,
        (len(fitted), len(tested)),
    )


def find_units_of(
    recording: Recording, address: str, labels: Tensor, held_out: float = 0.25, seed: int = 0
) -> Probe:
    """`find_units` for a recorded value.

    Args:
        recording: of many rows, or of a long one.
        address: of the value, such as "rnn.1.forward.c".
        labels: (T, B) of the steps, or (B,) of the rows, which are judged by their last step (the
            first one, in the reverse direction). Steps after the end of a row are left out. Whole
            rows are held out; if there are fewer than 8, tenths of them.
        held_out: share of the rows.
        seed: of the choice of rows.

    Raises:
        UnknownNameError: no such value was recorded.
        ShapeError, UsageError: as `find_units`.
    """
    value, alive = recording[address], recording.alive
    steps, rows = alive.shape
    if labels.shape == (rows,):
        reverse = address.split(".")[-2] == "reverse"
        last = torch.zeros(rows).long() if reverse else alive.sum(0) - 1
        kept = alive.any(0)
        which = torch.arange(rows)[kept]
        states = value[last[kept].to(value.device), which.to(value.device)]
        return find_units(states, labels.cpu()[kept], None, held_out, seed)
    if labels.shape != (steps, rows):
        raise ShapeError(
            f"labels are {tuple(labels.shape)}; they need ({steps}, {rows}), one for each step, or "
            f"({rows},), one for each row."
        )
    groups = torch.arange(rows).expand(steps, rows)
    if rows < 8:
        tenths = torch.arange(steps) * 10 // max(steps, 1)
        groups = groups * 10 + tenths.unsqueeze(1)
    states = value[alive.to(value.device)]
    return find_units(states, labels.cpu()[alive], groups[alive], held_out, seed)


class _Scale:
    """Units with the mean 0 and the deviation 1 over some examples; one that never moves is 0."""

    def __init__(self, states: Tensor) -> None:
        self._mean = states.mean(0)
        deviation = (states - self._mean).square().mean(0).sqrt()
        self._factor = torch.where(deviation > 1e-8, 1 / deviation, 0.0)

    def __call__(self, states: Tensor) -> Tensor:
        return (states - self._mean) * self._factor


def _labels(labels: Tensor, count: int) -> Tensor:
    labels = torch.as_tensor(labels).cpu()
    if labels.shape != (count,):
        raise ShapeError(f"labels are {tuple(labels.shape)}; there are {count} states.")
    if not bool(((labels == 0) | (labels == 1)).all()):
        raise UsageError(
            "labels must be true or false (1 or 0); of several kinds, ask for one: labels == kind."
        )
    return labels.bool()


def _divided(groups: Tensor, share: float, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """The numbers of the examples that stay, and of those whose groups are taken out."""
    names = groups.unique()
    count = round(share * len(names))
    if not 0 < count < len(names):
        raise UsageError(
            f"{share:.0%} of {len(names)} groups of examples cannot be held out; give more of them."
        )
    out = names[torch.randperm(len(names), generator=source)[:count]]
    is_out = torch.isin(groups, out)
    return (~is_out).nonzero().flatten(), is_out.nonzero().flatten()


def _check_both(labels: Tensor) -> None:
    true = int(labels.sum())
    if not 0 < true < len(labels):
        raise UsageError(
            f"of {len(labels)} examples in one part, {true} have the label; a probe needs both "
            "kinds in the fitted and in the held-out part. Give more examples, or another seed."
        )


def _strengths(features: Tensor, labels: Tensor) -> list[float]:
    """From the strength at which no unit counts down to a thousandth of it."""
    top = max(largest_strength(features, labels), 1e-12)
    return [top * 10 ** (-3 * k / (_STRENGTHS - 1)) for k in range(_STRENGTHS)]


def _units(
    fit: Fit, states: Tensor, labels: Tensor, fitted: Tensor, tested: Tensor
) -> tuple[Unit, ...]:
    """The units with a weight, ranked."""
    order = fit.weight.abs().argsort(descending=True)
    used = [int(unit) for unit in order if float(fit.weight[unit])]
    return tuple(
        Unit(
            unit,
            float(fit.weight[unit]),
            _alone(states[:, unit], labels, fitted, tested),
        )
        for unit in used
    )


def _alone(values: Tensor, labels: Tensor, fitted: Tensor, tested: Tensor) -> float:
    """The accuracy on `tested` of the threshold on one unit that does best on `fitted`."""
    order = values[fitted].argsort()
    seen, right = values[fitted][order], labels[fitted][order].double()
    zeros = torch.zeros(1).double()
    below = torch.cat([zeros, (1 - right).cumsum(0)])  # not so, among the first k
    above = right.sum() - torch.cat([zeros, right.cumsum(0)])
    hits = below + above  # of "true from the k-th on"
    hits[1:-1][seen[1:] == seen[:-1]] = len(seen) / 2  # equal values cannot be told apart
    best = int((hits - len(seen) / 2).abs().argmax())
    ends = torch.cat([seen[:1] - 1, (seen[1:] + seen[:-1]) / 2, seen[-1:] + 1])
    said = values[tested] > ends[best]
    rising = bool(hits[best] >= len(seen) / 2)
    return _share(said if rising else ~said, labels[tested])


def _most(labels: Tensor) -> bool:
    return bool(labels.double().mean() >= 0.5)


def _share(said: Tensor, right: Tensor) -> float:
    return float((said == right).double().mean())

"""Input attribution: how much each step of the input counts for a score of the output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.errors import UsageError
from recurra.inspection.entry import Entry
from recurra.inspection.model_output import first_tensor, last_steps, sequence
from recurra.nn.sequence import Lengths

Score = Callable[[Any], Tensor] | int | None
Baseline = Tensor | float
Scored = Callable[[Any, int], Tensor]  # of an output and the number of copies in it, (copies * B,)


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each input counts for a score.

    Attributes:
        values: (T, B, I) for each number that enters, items by the numbers of their embedding; 1 in
            the place of I where a step counts as a whole. Exactly 0 after the end of a row.
        score: (B,) of the inputs.
        baseline: (B,) of the baseline; None where it was not computed.
    """

    values: Tensor
    score: Tensor
    baseline: Tensor | None = None

    @property
    def steps(self) -> Tensor:
        """(T, B) for each step: the sum over its numbers."""
        return self.values.sum(-1)

    @property
    def error(self) -> Tensor | None:
        """(B,) the completeness error: by how much the values miss score - baseline in sum.

        Integrated gradients have none but for the number of their points (Sundararajan, Taly & Yan
        2017, section 3); for other methods it says how far they are from a division of the score.
        """
        if self.baseline is None:
            return None
        return self.steps.sum(0) - (self.score - self.baseline)


def gradient_times_input(
    model: nn.Module, inputs: Any, score: Score = None, lengths: Lengths = None
) -> Attribution:
    """The gradient of a score with respect to each input, times the input.

    Shrikumar, Greenside, Shcherbina & Kundaje 2016, arXiv:1605.01713: what a linear model would
    attribute; where a gate is saturated, it is near 0 however much the input counts.

    Args:
        model: a layer of recurra or torch, or a module with some; run in evaluation mode, on the
            device where it is.
        inputs: as for `record`, one batch of padded sequences: numbers, or items that the model
            embeds.
        score: what is explained: a function from what the model gives out to (B,); or the number of
            an output at the last step of each row (of the whole output, if it is no sequence).
            None for the output that is largest there.
        lengths: (B,) as for `record`.

    Raises:
        UsageError: inputs that `Entry` refuses, or a score that is not (B,).
    """
    entry = Entry(model, inputs, lengths)
    scored = _scorer(entry, score)
    with entry.open():
        gradient, value = _gradient(entry, entry.values, scored)
    return Attribution(_padded(entry, gradient * entry.values), value)


def integrated_gradients(
    model: Any,
    inputs: Any,
    score: Score = None,
    baseline: Baseline = 0.0,
    points: int = 50,
    lengths: Lengths = None,
) -> Attribution:
    """The gradient, averaged on the straight line from a baseline, times the distance.

    Sundararajan, Taly & Yan 2017, arXiv:1703.01365; the integral by Gauss-Legendre quadrature.

    Args:
        model, inputs, score, lengths: as for `gradient_times_input`.
        baseline: what stands for "no input": a number, or a tensor that fits the input (the
            embedded items, for items) in the model's own form.
        points: of the quadrature; each is one run of the model.

    Returns:
        with `error`, the completeness error: take more points where it is not small beside
        `score - baseline`.
    """
    entry = Entry(model, inputs, lengths)
    scored, start = _scorer(entry, score), _baseline(entry, baseline)
    places, weights = np.polynomial.legendre.leggauss(points)
    total = torch.zeros_like(entry.values)
    way = entry.values - start
    with entry.open():
        for some in _batches(points, entry, score):
            on_way = [start + float(places[k] + 1) / 2 * way for k in some]
            found = _gradient(entry, _beside(entry, on_way), scored, len(some))[0]
            for k, gradient in zip(some, _apart(entry, found), strict=True):
                total += gradient * float(weights[k] / 2)
        with torch.no_grad():
            low, high = scored(entry.run(start), 1), scored(entry.output, 1)
    return Attribution(_padded(entry, way * total), high, low)


@torch.no_grad()
def occlusion(
    model: Any,
    inputs: Any,
    score: Score = None,
    baseline: Baseline = 0.0,
    window: int = 1,
    lengths: Lengths = None,
) -> Attribution:
    """By how much the score falls when a step is hidden.

    Zeiler & Fergus 2014, arXiv:1311.2901, for sequences: each step is exchanged for the baseline,
    one run of the model a step.

    Args:
        model, inputs, score, baseline, lengths: as for `integrated_gradients`.
        window: so many steps are hidden at once; a step counts with the mean over all windows that
            hide it.

    Returns:
        with 1 in the place of I.
    """
    entry = Entry(model, inputs, lengths)
    scored, start = _scorer(entry, score), _baseline(entry, baseline)
    steps = entry.time_first(entry.values).shape[0]
    if not 1 <= window <= max(steps, 1):
        raise UsageError(f"window={window}; it must be from 1 to the {steps} steps.")
    high = scored(entry.output, 1)
    found = high.new_zeros(steps, len(high), 1)
    times = found.new_zeros(steps, 1, 1)
    with entry.open():
        for some in _batches(steps - window + 1, entry, score):
            hidden = [_hidden(entry, start, slice(k, k + window)) for k in some]
            output = entry.run(_beside(entry, hidden), len(some))
            scores = scored(output, len(some)).view(len(some), -1, 1)
            for k, low in zip(some, scores, strict=True):
                found[k : k + window] += high.unsqueeze(-1) - low
                times[k : k + window] += 1
    return Attribution(torch.where(entry.alive, found / times, 0.0), high)


def _hidden(entry: Entry, start: Tensor, steps: slice) -> Tensor:
    """The values with some steps exchanged for the baseline."""
    hidden = entry.values.clone()
    entry.time_first(hidden)[steps] = entry.time_first(start)[steps]
    return hidden


def _batches(count: int, entry: Entry, score: Score) -> list[list[int]]:
    """So many runs, in groups that run as one batch; a score of one's own sees the rows once."""
    size = 1 if callable(score) else entry.most_copies
    return [list(range(first, min(first + size, count))) for first in range(0, count, size)]


def _beside(entry: Entry, values: list[Tensor]) -> Tensor:
    """Several sets of rows as the rows of one batch."""
    return entry.time_first(torch.cat([entry.time_first(one) for one in values], 1))


def _apart(entry: Entry, values: Tensor) -> list[Tensor]:
    """The sets of rows of one batch."""
    rows = entry.time_first(entry.values).shape[1]
    return [entry.time_first(one) for one in entry.time_first(values).split(rows, 1)]


def _gradient(
    entry: Entry, values: Tensor, scored: Scored, copies: int = 1
) -> tuple[Tensor, Tensor]:
    """The gradient of the score with respect to the values, and the score (B,)."""
    with torch.enable_grad():
        values = values.detach().requires_grad_()
        found = scored(entry.run(values, copies), copies)
        if not found.requires_grad:
            raise UsageError(
                "the score does not depend on the inputs by differentiable steps; do not detach "
                "the output, nor take its argmax."
            )
        (gradient,) = torch.autograd.grad(found.sum(), values)
    return gradient, found.detach()


def _padded(entry: Entry, values: Tensor) -> Tensor:
    """(T, B, I), exactly 0 after the end of each row."""
    return torch.where(entry.alive, entry.time_first(values), 0.0)


def _baseline(entry: Entry, baseline: Baseline) -> Tensor:
    """The baseline, with the form of the values."""
    start = torch.as_tensor(baseline, dtype=entry.values.dtype, device=entry.values.device)
    try:
        return start.expand_as(entry.values)
    except RuntimeError:
        raise UsageError(
            f"the baseline has the shape {tuple(start.shape)}, and what enters the model "
            f"{tuple(entry.values.shape)}; give a number, or a tensor that fits."
        ) from None


def _scorer(entry: Entry, score: Score) -> Scored:
    """The score as a function of what the model gives out for so many copies of the rows."""
    rows = entry.time_first(entry.values).shape[1]

    def checked(found: Any) -> Tensor:
        if not isinstance(found, Tensor) or found.shape != (rows,):
            shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise UsageError(
                f"the score is {shape}; it must be one number for each of the {rows} rows."
            )
        return found

    if callable(score):
        return lambda output, copies: checked(score(output))
    last = _last(entry, entry.output)
    if score is not None and not -last.shape[1] <= score < last.shape[1]:
        raise UsageError(f"output {score} does not exist; there are 0 to {last.shape[1] - 1}.")
    which = last.argmax(1) if score is None else torch.full_like(last[:, 0], score).long()
    which = which % last.shape[1]

    def chosen(output: Any, copies: int) -> Tensor:
        found = _last(entry, output, copies)
        return found.gather(1, which.repeat(copies).unsqueeze(1)).squeeze(1)

    return chosen


def _last(entry: Entry, output: Any, copies: int = 1) -> Tensor:
    """(copies * B, V): the output at the last step of each row, 0 for one without steps."""
    given = sequence(entry.model, entry.repeated(copies)[0], output)
    if given is None:
        whole = first_tensor(output)
        return whole.unsqueeze(1) if whole.dim() == 1 else whole.flatten(1)
    ends = None if entry.counts is None else entry.counts.repeat(copies)
    last, kept = last_steps(given, ends)
    return given.new_zeros(given.shape[1], given.shape[2]).index_copy(0, kept, last)

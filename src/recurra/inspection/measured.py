"""All measures of a run, in the order in which a report tells them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recurra.errors import UsageError
from recurra.inspection.attribution import gradient_times_input, integrated_gradients
from recurra.inspection.findings import Finding
from recurra.inspection.gradients import gradients_through_time
from recurra.inspection.health import check_health
from recurra.inspection.influence import influence_matrix
from recurra.inspection.recording import Recording
from recurra.inspection.remembering import (
    LONGEST,
    attribution_finding,
    logit_finding,
    memory_finding,
)
from recurra.inspection.verdicts import gradient_findings, health_findings
from recurra.nn.sequence import Lengths

MOST = 200  # steps up to which gradients are integrated; each point is a run of its own
MOST_INFLUENCE = 64  # steps up to which the influence of every input on every output is computed
PROJECTIONS = 8
_NEEDS = "it needs the model and what it read: measure(recording, inputs)"


def measure(
    recording: Recording, inputs: Any = None, lengths: Lengths = None, row: int = 0
) -> tuple[Finding, ...]:
    """Everything that the measures of this room say about a run, each with its verdict.

    Args:
        recording: of all values, in its model.
        inputs: what the model read, as for `record`; without them no gradients are computed.
        lengths: (B,) as for `record`.
        row: of which row of the batch the curves are.
    """
    return (
        *_remembered(recording, inputs, lengths, row),
        *_gradients(recording, inputs, lengths, row),
        *health_findings(check_health(recording)),
    )


def _remembered(
    recording: Recording, inputs: Any, lengths: Lengths, row: int
) -> tuple[Finding, ...]:
    if recording.steps > LONGEST:
        why = f"it has {recording.steps:,} steps; record a part of up to {LONGEST:,}"
        return (Finding("memory", "What the last memory holds", view="items", missing=why),)
    found = [memory_finding(recording, row), logit_finding(recording, row)]
    model = recording.model
    if model is None or inputs is None:
        return tuple(found)
    if recording.steps > MOST:
        name = "Gradient times input"
        said = (
            "The gradient of the last score with respect to each input, times the input: "
            "Shrikumar, Greenside, Shcherbina & Kundaje 2016, arXiv:1605.01713."
        )
        of = attribution_finding(
            name, said, lambda: gradient_times_input(model, inputs, lengths=lengths), row
        )
        return (*found, of)
    said = (
        "The gradient of the last score, averaged on the way from inputs of 0, times the inputs: "
        "Sundararajan, Taly & Yan 2017, arXiv:1703.01365."
    )
    of = attribution_finding(
        "Integrated gradients",
        said,
        lambda: integrated_gradients(model, inputs, lengths=lengths),
        row,
    )
    return (*found, of)


def _gradients(
    recording: Recording, inputs: Any, lengths: Lengths, row: int
) -> tuple[Finding, ...]:
    model = recording.model
    if model is None or inputs is None:
        return (Finding("gradients", "Gradients through time", missing=_NEEDS),)
    try:
        found = gradients_through_time(model, inputs, lengths=lengths)
    except UsageError as error:
        return (Finding("gradients", "Gradients through time", missing=str(error)),)
    return (*gradient_findings(found, row), _influence(recording, inputs, lengths, row))


def _influence(recording: Recording, inputs: Any, lengths: Lengths, row: int) -> Finding:
    """Which input step counts for which output step."""
    title = "Influence of inputs on outputs"
    if recording.steps > MOST_INFLUENCE:
        why = f"it takes too long for {recording.steps} steps; see influence_matrix"
        return Finding("influence", title, missing=why)
    try:
        matrix: Tensor = influence_matrix(
            recording.model, inputs, row, lengths, projections=PROJECTIONS
        )
    except UsageError as error:
        return Finding("influence", title, missing=str(error))
    array = matrix.detach().cpu().double()
    own = float(array.diagonal().sum() / array.sum()) if float(array.sum()) else 0.0
    return Finding(
        "influence",
        title,
        f"{100 * own:.0f} % of all influence is that of an input on the output of its own step.",
        f"Norm of d output[t] / d input[s], estimated by {PROJECTIONS} random projections. Madsen "
        "2019, Visualizing memorization in RNNs, Distill.",
        "matrix",
        "norm of the Jacobian",
        matrix=array.numpy(),
    )

"""All measures of a run, computed and told, in the order in which a report tells them."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from recurra.errors import UsageError
from recurra.inspection.attribution import gradient_times_input, integrated_gradients
from recurra.inspection.findings import Finding
from recurra.inspection.gradients import Gradient, gradients_through_time
from recurra.inspection.health import check_health
from recurra.inspection.influence import influence_matrix
from recurra.inspection.measured import findings
from recurra.inspection.recording import Recording
from recurra.inspection.remembering import attribution_finding
from recurra.nn.sequence import Lengths

MOST = 200  # steps up to which gradients are integrated; each point is a run of its own
MOST_INFLUENCE = 64  # steps up to which the influence of every input on every output is computed
PROJECTIONS = 8
_GRADIENT = (
    "The gradient of the last score with respect to each input, times the input: Shrikumar, "
    "Greenside, Shcherbina & Kundaje 2016, arXiv:1605.01713."
)
_INTEGRATED = (
    "The gradient of the last score, averaged on the way from inputs of 0, times the inputs: "
    "Sundararajan, Taly & Yan 2017, arXiv:1703.01365."
)


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
    if recording.model is None or inputs is None:
        return findings(recording, check_health(recording), row=row)
    gradients: dict[str, Gradient] = {}
    try:
        gradients = gradients_through_time(recording.model, inputs, lengths=lengths)
    except UsageError as error:
        further = (Finding("gradient", "Gradients through time", missing=str(error)),)
        told = findings(recording, check_health(recording), row=row)
        return tuple(one for one in told if one.key != "gradient") + further
    return (
        *findings(recording, check_health(recording), gradients, row),
        *_attribution(recording, inputs, lengths, row),
        _influence(recording, inputs, lengths, row),
    )


def _attribution(
    recording: Recording, inputs: Any, lengths: Lengths, row: int
) -> tuple[Finding, ...]:
    """What the last prediction owes to each input.

    Integrated gradients where the sequence is short; where they take too long, or miss too much of
    the score, the gradient times the input, which promises less.
    """
    model, found = recording.model, []
    if recording.steps <= MOST:
        integrated = attribution_finding(
            "Integrated gradients",
            _INTEGRATED,
            lambda: integrated_gradients(model, inputs, lengths=lengths),
            row,
        )
        if not integrated.missing:
            return (integrated,)
        found.append(integrated)
    times_input = attribution_finding(
        "Gradient times input",
        _GRADIENT,
        lambda: gradient_times_input(model, inputs, lengths=lengths),
        row,
    )
    return (*found, times_input)


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

"""The measures of a recording as findings, which a page shows with their definitions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from recurra.inspection.findings import Cell, Finding, Series
from recurra.inspection.gradients import Gradient
from recurra.inspection.health import FULL, HIGH, LOW, Health
from recurra.inspection.recording import Recording
from recurra.inspection.remembering import logit_finding, memory_finding
from recurra.inspection.verdicts import About, Level, Verdict, in_steps, verdicts

_SATURATION = (
    f"Share of the values of a gate, over all units and steps, below {LOW} and above {HIGH}. "
    "Karpathy, Johnson & Fei-Fei 2015, arXiv:1506.02078."
)
_UNITS = (
    "A dead unit is 0 in every step, a still one never moves; saturated is the share of values "
    f"beyond {FULL}, where tanh has hardly any slope left."
)
_HALF_LIFE = (
    "Steps until half of what was written is left: ln 0.5 / mean(ln f) for each unit, with f the "
    "share that its equation keeps."
)
_RADIUS = (
    "The largest absolute eigenvalue of a recurrent weight: Pascanu, Mikolov & Bengio 2013, "
    "arXiv:1211.5063, for networks without gates; elsewhere a number for comparison."
)
_GRADIENT = (
    "Norm of the derivative of the loss with respect to a state after each step; the factor is the "
    "geometric mean of what a step back does to it. Hochreiter 1991; Bengio, Simard & Frasconi "
    "1994; Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063."
)


def findings(
    recording: Recording,
    health: Health,
    gradients: Mapping[str, Gradient] | None = None,
    row: int = 0,
) -> tuple[Finding, ...]:
    """What a page tells of a run: what is remembered, saturation, units, gradients, weights.

    Args:
        recording: what was recorded.
        health: of `check_health`.
        gradients: of `gradients_through_time`, by address of the state.
        row: of the recording, whose steps are drawn.
    """
    gradients = gradients or {}
    said = verdicts(health, gradients)
    found = (
        memory_finding(recording, row),
        logit_finding(recording, row),
        _numbers(said),
        _saturation(health, said),
        _units(health, said),
        _memory(health, said),
        _through_time(gradients, said, row),
        _radii(health),
    )
    return tuple(
        one for one in found if one.rows or one.series or one.missing or one.level == "warning"
    )


def _numbers(said: Sequence[Verdict]) -> Finding:
    """Where the first NaN or infinity is; left out where there is none."""
    level, verdict = _of(said, "numbers", "")
    text = "The first number that is not finite, in the order in which they were computed."
    return Finding("numbers", "Numbers that are not finite", verdict, text, level=level)


def _saturation(health: Health, said: Sequence[Verdict]) -> Finding:
    level, verdict = _of(said, "saturation", "No gate is stuck.")
    return Finding(
        key="saturation",
        title="Saturated gates",
        verdict=verdict,
        definition=_SATURATION,
        columns=("gate", f"below {LOW}", f"above {HIGH}", "mean"),
        rows=tuple(
            (gate.address, f"{gate.shut:.1%}", f"{gate.open:.1%}", round(gate.mean, 3))
            for gate in health.gates
        ),
        level=level,
    )


def _units(health: Health, said: Sequence[Verdict]) -> Finding:
    level, verdict = _of(said, "units", "No unit is dead, and few values are saturated.")
    rows: list[tuple[Cell, ...]] = []
    for one in health.units:
        full = "-" if one.full is None else f"{one.full:.1%}"
        still = len(one.constant) - len(one.dead)
        rows.append((one.address, one.size, len(one.dead), still, full))
    return Finding(
        key="units",
        title="Units that say little",
        verdict=verdict,
        definition=_UNITS,
        columns=("state", "units", "dead", "still", "saturated"),
        rows=tuple(rows),
        level=level,
    )


def _memory(health: Health, said: Sequence[Verdict]) -> Finding:
    level, verdict = _of(said, "memory", "")
    rows: list[tuple[Cell, ...]] = []
    for life in health.half_lives:
        lives = (life.shortest, life.median, life.longest)
        rows.append((life.address, life.keep, *map(in_steps, lives)))
    return Finding(
        key="memory",
        title="How long memories last",
        verdict=verdict,
        definition=_HALF_LIFE,
        columns=("memory", "kept share", "shortest tenth", "median", "longest tenth"),
        rows=tuple(rows),
        level=level,
    )


def _through_time(gradients: Mapping[str, Gradient], said: Sequence[Verdict], row: int) -> Finding:
    if not gradients:
        why = "it needs the model and what it read; see gradients_through_time"
        return Finding("gradient", "Gradients through time", missing=why)
    level, verdict = _of(said, "gradient", "")
    rows: list[tuple[Cell, ...]] = []
    for address, gradient in gradients.items():
        factor = "-" if math.isnan(gradient.factor) else round(gradient.factor, 3)
        left = "never" if gradient.tenth is None else in_steps(gradient.tenth)
        rows.append((address, gradient.verdict, factor, left))
    return Finding(
        key="gradient",
        title="Gradients through time",
        verdict=verdict,
        definition=_GRADIENT,
        view="lines",
        axis="norm of the gradient",
        log=True,
        columns=("state", "verdict", "factor of a step back", "a tenth is left after"),
        rows=tuple(rows),
        series=tuple(
            Series(address, gradient.norms[:, row].double().cpu().numpy())
            for address, gradient in gradients.items()
        ),
        level=level,
    )


def _radii(health: Health) -> Finding:
    return Finding(
        key="radius",
        title="Spectral radius of the recurrent weights",
        definition=_RADIUS,
        columns=("weight", "spectral radius"),
        rows=tuple((name, f"{radius:.4g}") for name, radius in health.radii.items()),
    )


def _of(said: Sequence[Verdict], about: About, otherwise: str) -> tuple[Level, str]:
    """The worst level and all sentences about a measure, the worst first."""
    order: tuple[Level, ...] = ("warning", "note", "good")
    own = sorted(
        (verdict for verdict in said if verdict.about == about),
        key=lambda verdict: order.index(verdict.level),
    )
    if not own:
        return "good", otherwise
    return own[0].level, " ".join(verdict.text for verdict in own)

"""Measures in words: what the numbers of a recorded run mean, a sentence each, for its reports."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from recurra.inspection.findings import Finding, Level, Series
from recurra.inspection.gradients import Gradient
from recurra.inspection.health import FULL, HIGH, LOW, Gate, HalfLife, Health, Units

STUCK = 0.9  # share of its values on one side from which a gate does nothing else
STILL_UNITS = 0.1  # share of units without movement that is worth a look


def percent(share: float) -> str:
    """A share as people write it; what is nearly nothing or nearly all is not rounded to it."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.{1 if share < 0.0995 else 0}f} %".replace(".0 %", " %")


def steps(number: float) -> str:
    """A number of steps in words."""
    if math.isinf(number):
        return "for ever"
    shown = f"{number:.1f}".removesuffix(".0") if number < 10 else f"{number:,.0f}"
    return f"{shown} step" if shown == "1" else f"{shown} steps"


def health_findings(health: Health) -> tuple[Finding, ...]:
    """What `check_health` found, in words."""
    found = [_fault(health), _gates(health.gates), _units(health.units)]
    return (*found, _half_lives(health.half_lives), _radii(health.radii))


def _fault(health: Health) -> Finding:
    text = "Every recorded value is a finite number."
    level: Level = "good"
    if health.fault is not None:
        told = str(health.fault)
        text, level = f"{told[0].upper()}{told[1:]}.", "warning"
    where = "The first NaN or infinity in the order in which the values were computed."
    return Finding("finite", "Finite numbers", text, where, level=level)


def _gates(gates: Sequence[Gate]) -> Finding:
    """Karpathy's shares, and the gate that is furthest on one side."""
    if not gates:
        none = "the cell has no gate, or none was recorded"
        return Finding("saturation", "Saturated gates", missing=none)
    stuck = [gate for gate in gates if max(gate.shut, gate.open) >= STUCK]
    worst = max(gates, key=lambda gate: max(gate.shut, gate.open))
    shut = worst.shut > worst.open
    most, side = (worst.shut, f"below {LOW}") if shut else (worst.open, f"above {HIGH}")
    told = f"{worst.address} has {percent(most)} of its values {side}"
    if stuck:
        verb = "is" if len(stuck) == 1 else "are"
        text = f"{len(stuck)} of {len(gates)} gates {verb} stuck: {told}."
    else:
        text = f"Every gate moves: the one that stays most on one side, {told}."
    return Finding(
        "saturation",
        "Saturated gates",
        text,
        f"Share of a gate's values below {LOW} (shut) and above {HIGH} (open), over units and "
        "steps. Karpathy, Johnson & Fei-Fei 2015, arXiv:1506.02078.",
        columns=("gate", "mean", "shut", "open"),
        rows=tuple((g.address, g.mean, percent(g.shut), percent(g.open)) for g in gates),
        level="warning" if stuck else "good",
    )


def _units(units: Sequence[Units]) -> Finding:
    if not units:
        return Finding("units", "Units that do nothing", missing="no state was recorded")
    still = sum(len(one.constant) for one in units)
    worst = max(units, key=lambda one: len(one.constant) / one.size)
    share = len(worst.constant) / worst.size
    text = "Every unit moves."
    if still:
        told = f"{len(worst.constant)} of {worst.size} units of {worst.address} never move"
        told = told if worst.size > 1 else f"{worst.address} never moves"
        text = f"{told}; {len(worst.dead)} of {len(worst.constant)} are always 0."
    return Finding(
        "units",
        "Units that do nothing",
        text,
        "A unit is constant when it moves by less than 1e-6 over all steps and rows, dead when it "
        f"is 0 besides (Lu et al. 2019, arXiv:1903.06733). Full: |value| above {FULL}.",
        columns=("value", "units", "dead", "constant", "full"),
        rows=tuple(
            (
                one.address,
                one.size,
                len(one.dead),
                len(one.constant),
                "" if one.full is None else percent(one.full),
            )
            for one in units
        ),
        level="warning" if share > STILL_UNITS else "good" if not still else "note",
    )


def _half_lives(found: Sequence[HalfLife]) -> Finding:
    """How long memories last: the median, the fastest and the slowest tenth of the units."""
    title = "Memory half-lives"
    if not found:
        none = "the cell has no memory that is kept in part and added to, or its gates are missing"
        return Finding("half-life", title, missing=none)
    rows = [(one.address, one.keep, *_tenths(one.steps)) for one in found]
    last = rows[-1]
    slow = "never" if math.isinf(last[4]) else f"only after {steps(last[4])} or more"
    text = (
        f"Half of the units of {last[0]} lose half of what was written within {steps(last[3])}; "
        f"the slowest tenth {slow}."
    )
    return Finding(
        "half-life",
        title,
        text,
        "ln 0.5 / mean(ln f) for each unit, f the share of the memory that a step keeps, the mean "
        "over all steps.",
        columns=("memory", "keeps", "fastest tenth", "median", "slowest tenth"),
        rows=tuple((a, keep, *(steps(x) for x in numbers)) for a, keep, *numbers in rows),
    )


def _tenths(values: Tensor) -> tuple[float, float, float]:
    """A tenth of the units is below the first, half below the second, nine tenths the third."""
    ordered = values.flatten().sort().values
    count = len(ordered)
    places = (count // 10, count // 2, min(count - 1, 9 * count // 10))
    low, middle, high = (float(ordered[place]) for place in places)
    return low, middle, high


def _radii(radii: Mapping[str, float]) -> Finding:
    title = "Recurrent weights"
    if not radii:
        return Finding("radius", title, missing="the recording came without its model")
    worst = max(radii, key=lambda address: radii[address])
    text = f"The largest spectral radius is {radii[worst]:.2f}, of {worst}."
    return Finding(
        "radius",
        title,
        text,
        "The largest modulus of an eigenvalue of a recurrent weight. Where nothing but the weight "
        "acts on a state, it grows with a radius above 1 and fades below 1; gates change that.",
        columns=("weight", "radius"),
        rows=tuple(radii.items()),
    )


def gradient_findings(found: Mapping[str, Gradient], row: int = 0) -> tuple[Finding, ...]:
    """What `gradients_through_time` found, in words."""
    if not found:
        return ()
    told = [f"{address} {_told(one)}" for address, one in found.items()]
    series = tuple(
        Series(f"dL/d{address.rpartition('.')[2]}, {address.rpartition('.')[0]}", _curve(one, row))
        for address, one in found.items()
    )
    bad = {one.verdict for one in found.values()} - {"kept"}
    return (
        Finding(
            "gradients",
            "Gradients through time",
            f"The gradient of {told[-1]}.",
            "Euclidean norm over the units of the gradient of the loss with respect to the state "
            "after each step. Bengio, Simard & Frasconi 1994; Pascanu, Mikolov & Bengio 2013, "
            "arXiv:1211.5063.",
            "lines",
            "norm of the gradient",
            True,
            ("state", "verdict", "a tenth is left after", "ten times as large after", "a step"),
            tuple(_rows(found)),
            series,
            level="warning" if "exploding" in bad else "note" if bad else "good",
        ),
    )


def _rows(found: Mapping[str, Gradient]) -> Iterator[tuple[str, ...]]:
    for address, one in found.items():
        ends = ["" if n is None else steps(n) for n in (one.tenth, one.tenfold)]
        yield address, one.verdict, *ends, f"× {one.factor:.3f}"


def _told(one: Gradient) -> str:
    if one.verdict == "vanishing":
        return f"vanishes: {steps(one.tenth or 0)} back, a tenth of it is left"
    if one.verdict == "exploding":
        when = (
            "" if one.tenfold is None else f": {steps(one.tenfold)} back, it is ten times as large"
        )
        return f"explodes{when}"
    return "is kept: it neither falls to a tenth nor grows to ten times its size"


def _curve(one: Gradient, row: int) -> list[float]:
    norms: list[float] = one.norms[:, row].tolist()
    return norms

"""What the measures of a run mean, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from recurra.inspection.gradients import Gradient
from recurra.inspection.health import HIGH, LOW, Gate, HalfLife, Health, Units

Level = Literal["good", "note", "warning"]
About = Literal["all", "numbers", "saturation", "units", "memory", "gradient"]

# Rules of thumb, not laws: each sentence says the number that it judges.
_STUCK = 0.9  # share of saturated values from which a gate no longer decides anything
_SHUT = 0.5  # share of shut values from which a gate that keeps a memory empties it
_FULL = 0.3  # share of a state beyond 0.99 from which its activation passes little gradient
_DEAD = 0.05  # share of units


@dataclass(frozen=True)
class Verdict:
    """A sentence, and how it should be read.

    Attributes:
        level: "good", "note" or "warning".
        text: with the number on which it rests.
        about: which measure.
        address: of the value, or the part, that it is about; "" for the whole run.
    """

    level: Level
    text: str
    about: About
    address: str = ""


def verdicts(
    health: Health, gradients: Mapping[str, Gradient] | None = None
) -> tuple[Verdict, ...]:
    """A sentence for all that is remarkable; at least one.

    Args:
        health: of `check_health`.
        gradients: of `gradients_through_time`, by address of the state.
    """
    found = [
        *_of_fault(health),
        *(verdict for gate in health.gates for verdict in _of_gate(gate)),
        *(verdict for units in health.units for verdict in _of_units(units)),
        *(_of_memory(memory) for memory in health.half_lives),
        *_of_gradients(health, gradients or {}),
    ]
    if not any(verdict.level == "warning" for verdict in found):
        found.insert(
            0, Verdict("good", "No gate is stuck, no unit is dead, all values are finite.", "all")
        )
    return tuple(found)


def _of_fault(health: Health) -> Iterator[Verdict]:
    if health.fault is not None:
        text = str(health.fault)
        yield Verdict("warning", f"{text[:1].upper()}{text[1:]}.", "numbers", health.fault.address)


def _of_gate(gate: Gate) -> Iterator[Verdict]:
    name, shut, open_ = gate.address, gate.shut, gate.open
    if gate.of and shut > _SHUT:
        memory = gate.address.rpartition(".")[0] + "." + gate.of
        yield Verdict(
            "warning",
            f"{name} is below {LOW} in {shut:.0%} of its values: it keeps little of {memory}.",
            "saturation",
            name,
        )
    elif shut + open_ > _STUCK:
        yield Verdict(
            "warning",
            f"{name} is saturated in {shut + open_:.0%} of its values ({shut:.0%} below {LOW}, "
            f"{open_:.0%} above {HIGH}): gradients hardly reach it.",
            "saturation",
            name,
        )


def _of_units(units: Units) -> Iterator[Verdict]:
    dead, still = len(units.dead), len(units.constant) - len(units.dead)
    if dead:
        level: Level = "warning" if dead > _DEAD * units.size else "note"
        text = f"{units.address} has {dead} dead of {units.size} units, 0 in every step."
        yield Verdict(level, text, "units", units.address)
    if still:
        level = "warning" if still > _DEAD * units.size else "note"
        text = f"{units.address} has {still} units of {units.size} that never move."
        yield Verdict(level, text, "units", units.address)
    if units.full is not None and units.full > _FULL:
        text = (
            f"{units.full:.0%} of {units.address} lie beyond 0.99, where tanh passes no gradient."
        )
        yield Verdict("warning", text, "units", units.address)


def _of_memory(memory: HalfLife) -> Verdict:
    text = (
        f"{memory.address} keeps half of what was written for {in_steps(memory.median)} "
        f"(median of its units), in the longest tenth for {in_steps(memory.longest)} or more."
    )
    return Verdict("note", text, "memory", memory.address)


def _of_gradients(health: Health, gradients: Mapping[str, Gradient]) -> Iterator[Verdict]:
    """A sentence for each memory, or for each state of a part that has none."""
    memories = {life.address for life in health.half_lives}
    parts = {address.rpartition(".")[0] for address in memories}
    for address, gradient in gradients.items():
        if address.rpartition(".")[0] in parts and address not in memories:
            continue  # what a gated cell remembers is in its memory, not in its output
        if gradient.verdict == "exploding":
            where = "" if gradient.tenfold is None else f" {in_steps(gradient.tenfold)} back"
            text = f"The gradient of {address} explodes: it is ten times as large{where}."
            yield Verdict("warning", text, "gradient", address)
        elif gradient.verdict == "vanishing":
            left = in_steps(gradient.tenth or 0)
            text = f"A tenth of the gradient of {address} is left {left} back."
            yield Verdict("note", text, "gradient", address)
        else:
            text = f"The gradient of {address} reaches the first step, more than a tenth of it."
            yield Verdict("good", text, "gradient", address)


def in_steps(number: float) -> str:
    """A number of steps in words.

    Example:
        >>> in_steps(1.0), in_steps(12.34), in_steps(1234), in_steps(float("inf"))
        ('1 step', '12.3 steps', '1,234 steps', 'ever')
    """
    if math.isinf(number):
        return "ever"
    shown = f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
    return f"{shown} step" + ("" if shown == "1" else "s")

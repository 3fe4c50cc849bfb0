"""The measures of a run as plain values, for files and other programs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from recurra.inspection.gradients import Gradient
from recurra.inspection.health import Health
from recurra.inspection.verdicts import verdicts


def summary(health: Health, gradients: Mapping[str, Gradient]) -> dict[str, Any]:
    """The measures by name and address, as JSON holds them.

    Args:
        health: of `check_health`.
        gradients: of `gradients_through_time`.

    Returns:
        `gates`: share of values `below` 0.1 and `above` 0.9, and their `mean`; `states`: units that
        are `dead` or `constant`, and the share that is `saturated` beyond 0.99 (None: not bounded);
        `half_lives` in steps, the median (None: for ever); `spectral_radii`; `gradients`: the
        `verdict`, the `factor` of each step back, and after how many steps a `tenth` is left (None:
        never); `fault`; `verdicts` with their `level`, `text`, `about` and `address`.
    """
    return {
        "gates": {
            gate.address: {"below": gate.shut, "above": gate.open, "mean": _finite(gate.mean)}
            for gate in health.gates
        },
        "states": {
            units.address: {
                "units": units.size,
                "dead": len(units.dead),
                "constant": len(units.constant),
                "saturated": units.full,
            }
            for units in health.units
        },
        "half_lives": {life.address: _finite(life.median) for life in health.half_lives},
        "spectral_radii": {name: _finite(radius) for name, radius in health.radii.items()},
        "gradients": {
            address: {
                "verdict": gradient.verdict,
                "factor": _finite(gradient.factor),
                "tenth": gradient.tenth,
            }
            for address, gradient in gradients.items()
        },
        "fault": None if health.fault is None else str(health.fault),
        "verdicts": [
            {
                "level": one.level,
                "text": one.text,
                "about": one.about,
                "address": one.address,
            }
            for one in verdicts(health, gradients)
        ],
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None

"""Looking inside: every named value of every layer at every step, recorded, changed, measured."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.inspection.attribution import Attribution as Attribution
    from recurra.inspection.attribution import gradient_times_input as gradient_times_input
    from recurra.inspection.attribution import integrated_gradients as integrated_gradients
    from recurra.inspection.attribution import occlusion as occlusion
    from recurra.inspection.contributions import Contributions as Contributions
    from recurra.inspection.contributions import contributions_to_state as contributions_to_state
    from recurra.inspection.diagram import draw as draw
    from recurra.inspection.faults import Fault as Fault
    from recurra.inspection.faults import first_fault as first_fault
    from recurra.inspection.findings import Finding as Finding
    from recurra.inspection.findings import Series as Series
    from recurra.inspection.gradients import Gradient as Gradient
    from recurra.inspection.gradients import gradients_through_time as gradients_through_time
    from recurra.inspection.health import Health as Health
    from recurra.inspection.health import check_health as check_health
    from recurra.inspection.health import half_lives as half_lives
    from recurra.inspection.influence import influence_matrix as influence_matrix
    from recurra.inspection.measured import measure as measure
    from recurra.inspection.memories import Memory as Memory
    from recurra.inspection.memories import find_memories as find_memories
    from recurra.inspection.output_contributions import OutputContributions as OutputContributions
    from recurra.inspection.output_contributions import (
        contributions_to_logits as contributions_to_logits,
    )
    from recurra.inspection.output_contributions import (
        contributions_to_output as contributions_to_output,
    )
    from recurra.inspection.radius import spectral_radii as spectral_radii
    from recurra.inspection.ranges import find_gates as find_gates
    from recurra.inspection.recorder import record as record
    from recurra.inspection.recording import Part as Part
    from recurra.inspection.recording import Recording as Recording

# Each name is imported when it is first used: drawing a cell needs no PyTorch.
_HOMES = {
    "draw": "diagram",
    "influence_matrix": "influence",
    "occlusion": "attribution",
    "integrated_gradients": "attribution",
    "gradient_times_input": "attribution",
    "Attribution": "attribution",
    "contributions_to_logits": "output_contributions",
    "contributions_to_output": "output_contributions",
    "OutputContributions": "output_contributions",
    "contributions_to_state": "contributions",
    "Contributions": "contributions",
    "gradients_through_time": "gradients",
    "Gradient": "gradients",
    "Part": "recording",
    "Recording": "recording",
    "record": "recorder",
    **dict.fromkeys(("Health", "check_health", "half_lives"), "health"),
    **dict.fromkeys(("Fault", "first_fault"), "faults"),
    **dict.fromkeys(("Finding", "Series"), "findings"),
    "measure": "measured",
    "Memory": "memories",
    "find_memories": "memories",
    "find_gates": "ranges",
    "spectral_radii": "radius",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"recurra.inspection.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'recurra.inspection' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

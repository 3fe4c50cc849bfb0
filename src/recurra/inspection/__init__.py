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
    from recurra.inspection.editing import Add as Add
    from recurra.inspection.editing import Hold as Hold
    from recurra.inspection.editing import Scale as Scale
    from recurra.inspection.editing import edit as edit
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
    from recurra.inspection.measuring import measure as measure
    from recurra.inspection.memories import Memory as Memory
    from recurra.inspection.memories import find_memories as find_memories
    from recurra.inspection.output_contributions import OutputContributions as OutputContributions
    from recurra.inspection.output_contributions import (
        contributions_to_logits as contributions_to_logits,
    )
    from recurra.inspection.output_contributions import (
        contributions_to_output as contributions_to_output,
    )
    from recurra.inspection.probe import Probe as Probe
    from recurra.inspection.probe import find_units as find_units
    from recurra.inspection.probe import find_units_of as find_units_of
    from recurra.inspection.radius import spectral_radii as spectral_radii
    from recurra.inspection.ranges import find_gates as find_gates
    from recurra.inspection.recorder import record as record
    from recurra.inspection.recording import Part as Part
    from recurra.inspection.recording import Recording as Recording
    from recurra.inspection.storage import load_recording as load_recording
    from recurra.inspection.terminal import Report as Report
    from recurra.inspection.terminal import show as show

# Each name is imported when it is first used: drawing a cell needs no PyTorch.
_HOMES = {
    "Add": "editing",
    "Attribution": "attribution",
    "Contributions": "contributions",
    "Fault": "faults",
    "Finding": "findings",
    "Gradient": "gradients",
    "Health": "health",
    "Hold": "editing",
    "Memory": "memories",
    "OutputContributions": "output_contributions",
    "Part": "recording",
    "Probe": "probe",
    "Recording": "recording",
    "Report": "terminal",
    "Scale": "editing",
    "Series": "findings",
    "check_health": "health",
    "contributions_to_logits": "output_contributions",
    "contributions_to_output": "output_contributions",
    "contributions_to_state": "contributions",
    "draw": "diagram",
    "edit": "editing",
    "find_gates": "ranges",
    "find_memories": "memories",
    "find_units": "probe",
    "find_units_of": "probe",
    "first_fault": "faults",
    "gradient_times_input": "attribution",
    "gradients_through_time": "gradients",
    "half_lives": "health",
    "influence_matrix": "influence",
    "integrated_gradients": "attribution",
    "load_recording": "storage",
    "measure": "measuring",
    "occlusion": "attribution",
    "record": "recorder",
    "show": "terminal",
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

"""Looking inside: every named value of every layer at every step, recorded, changed, measured."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.inspection.faults import Fault as Fault
    from recurra.inspection.faults import first_fault as first_fault
    from recurra.inspection.gradients import Gradient as Gradient
    from recurra.inspection.gradients import gradients_through_time as gradients_through_time
    from recurra.inspection.health import Health as Health
    from recurra.inspection.health import check_health as check_health
    from recurra.inspection.health import half_lives as half_lives
    from recurra.inspection.memories import Memory as Memory
    from recurra.inspection.memories import find_memories as find_memories
    from recurra.inspection.radius import spectral_radii as spectral_radii
    from recurra.inspection.ranges import find_gates as find_gates
    from recurra.inspection.recorder import record as record
    from recurra.inspection.recording import Part as Part
    from recurra.inspection.recording import Recording as Recording

# Each name is imported when it is first used: drawing a cell needs no PyTorch.
_HOMES = {
    "gradients_through_time": "gradients",
    "Gradient": "gradients",
    "Part": "recording",
    "Recording": "recording",
    "record": "recorder",
    **dict.fromkeys(("Health", "check_health", "half_lives"), "health"),
    **dict.fromkeys(("Fault", "first_fault"), "faults"),
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

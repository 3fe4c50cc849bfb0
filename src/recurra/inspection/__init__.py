"""Looking inside: every named value of every layer at every step, recorded, changed, measured."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.inspection.editing import Add as Add
    from recurra.inspection.editing import Hold as Hold
    from recurra.inspection.editing import Scale as Scale
    from recurra.inspection.editing import edit as edit
    from recurra.inspection.recorder import record as record
    from recurra.inspection.recording import Part as Part
    from recurra.inspection.recording import Recording as Recording
    from recurra.inspection.storage import load_recording as load_recording

# Each name is imported when it is first used: drawing a cell needs no PyTorch.
_HOMES = {
    "Add": "editing",
    "Hold": "editing",
    "Part": "recording",
    "Recording": "recording",
    "Scale": "editing",
    "edit": "editing",
    "load_recording": "storage",
    "record": "recorder",
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

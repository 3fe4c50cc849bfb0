"""Looking inside: every named value of every layer at every step, recorded, changed, measured."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.inspection.diagram import draw as draw
    from recurra.inspection.recorder import record as record
    from recurra.inspection.recording import Part as Part
    from recurra.inspection.recording import Recording as Recording

# Each name is imported when it is first used: drawing a cell needs no PyTorch.
_HOMES = {"Part": "recording", "Recording": "recording", "draw": "diagram", "record": "recorder"}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"recurra.inspection.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'recurra.inspection' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

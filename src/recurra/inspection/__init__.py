"""Looking inside: record, edit, measure, attribute and draw what a recurrent network does."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.inspection.diagram import draw as draw

# Each name is imported when it is first used, so that drawing needs no PyTorch.
_HOMES = {"draw": "recurra.inspection.diagram"}

__all__ = ["draw"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

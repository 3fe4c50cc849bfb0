"""Training: options, the loop, exact resume, run folders.

Read `loop.py` first: it is the whole method. `fitting.py` is the door for Python and `text.py` that
of `recurra train text`; `loading.py` opens what they left behind.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.training.config import RunConfig as RunConfig
    from recurra.training.fitting import fit as fit
    from recurra.training.loading import LoadedText as LoadedText
    from recurra.training.loading import load as load
    from recurra.training.metrics import History as History
    from recurra.training.options import TrainingOptions as TrainingOptions
    from recurra.training.progress import Reporter as Reporter
    from recurra.training.searching import search as search
    from recurra.training.text import train_text as train_text

# Imported when first used: the command line reads options without loading PyTorch.
_HOMES = {
    "History": "metrics",
    "LoadedText": "loading",
    "Reporter": "progress",
    "RunConfig": "config",
    "TrainingOptions": "options",
    "fit": "fitting",
    "load": "loading",
    "search": "searching",
    "train_text": "text",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'recurra.training' has no attribute {name!r}")
    return getattr(import_module(f"recurra.training.{_HOMES[name]}"), name)

"""Tasks: what there is to learn. Read `base.py` for the contract and `text.py` for an example."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recurra.tasks.base import State as State
    from recurra.tasks.base import Task as Task
    from recurra.tasks.decoding import Sampler as Sampler
    from recurra.tasks.decoding import Token as Token
    from recurra.tasks.decoding import generate as generate
    from recurra.tasks.scoring import score as score
    from recurra.tasks.text import TextGeneration as TextGeneration
    from recurra.tasks.text import TextModel as TextModel
    from recurra.tasks.text import TextOptions as TextOptions

# Imported when first used: the contract alone needs no PyTorch.
_HOMES = {
    "Sampler": "decoding",
    "State": "base",
    "Task": "base",
    "TextGeneration": "text",
    "TextModel": "text",
    "TextOptions": "text",
    "Token": "decoding",
    "generate": "decoding",
    "score": "scoring",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'recurra.tasks' has no attribute {name!r}")
    return getattr(import_module(f"recurra.tasks.{_HOMES[name]}"), name)

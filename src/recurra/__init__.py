"""recurra: recurrent networks, written as equations, run fast, trained, and seen through."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from recurra.backends import release_memory as release_memory
    from recurra.citations import cite as cite
    from recurra.graph import cell as cell
    from recurra.inspection import edit as edit
    from recurra.inspection import record as record
    from recurra.nn import GRU as GRU
    from recurra.nn import LSTM as LSTM
    from recurra.nn import RNN as RNN
    from recurra.nn import ConvGRU as ConvGRU
    from recurra.nn import ConvLSTM as ConvLSTM
    from recurra.nn import ConvRecurrent as ConvRecurrent
    from recurra.nn import Recurrent as Recurrent
    from recurra.tasks import Task as Task
    from recurra.tasks import TextGeneration as TextGeneration
    from recurra.training import TrainingOptions as TrainingOptions
    from recurra.training import fit as fit
    from recurra.training import load as load

# Each name is imported when it is first used, so that `recurra --help` needs no PyTorch.
_HOMES = {
    "ConvGRU": "recurra.nn",
    "ConvLSTM": "recurra.nn",
    "ConvRecurrent": "recurra.nn",
    "GRU": "recurra.nn",
    "LSTM": "recurra.nn",
    "RNN": "recurra.nn",
    "Recurrent": "recurra.nn",
    "Task": "recurra.tasks",
    "TextGeneration": "recurra.tasks",
    "TrainingOptions": "recurra.training",
    "cell": "recurra.graph",
    "cite": "recurra.citations",
    "edit": "recurra.inspection",
    "fit": "recurra.training",
    "load": "recurra.training",
    "record": "recurra.inspection",
    "release_memory": "recurra.backends",
}
_ROOMS = ("backends", "cells", "data", "errors", "graph", "inspection", "nn", "tasks", "training")

__all__ = ["__version__", *sorted(_HOMES), *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    if name in _ROOMS:
        return import_module(f"recurra.{name}")
    raise AttributeError(f"module 'recurra' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

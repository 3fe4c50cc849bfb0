"""Which backend runs a graph, and the sentence that says why."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recurra.backends.backend import Backend
from recurra.backends.cpu import Cpu
from recurra.backends.reference import Reference
from recurra.graph import Graph

# The first that does not refuse is taken; the reference refuses nothing.
BACKENDS: tuple[Backend, ...] = (Cpu(), Reference())


@dataclass(frozen=True)
class Choice:
    """The backend taken, why, and why others were not."""

    backend: Backend
    reason: str
    refused: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        others = "".join(f"; not {name}: {why}" for name, why in self.refused)
        return f"{self.backend.name}: {self.reason}{others}"


def choose(graph: Graph, device: torch.device, dtype: torch.dtype) -> Choice:
    """The backend for a graph on a device, in a number format."""
    refused: list[tuple[str, str]] = []
    for backend in BACKENDS:
        refusal = backend.refusal(graph, device, dtype)
        if refusal is None:
            where = f"{graph.name} on {device.type} in {str(dtype).removeprefix('torch.')}"
            reason = f"{backend.purpose}, for {where}{backend.limit}"
            return Choice(backend, reason, tuple(refused))
        refused.append((backend.name, refusal))
    raise AssertionError("the reference backend refuses nothing")

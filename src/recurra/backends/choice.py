"""Which backend runs a graph, and the sentence that says why."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from recurra.backends.backend import Backend
from recurra.backends.convolution import convolve
from recurra.backends.cpu import Cpu
from recurra.backends.reference import Reference
from recurra.backends.said import say_once
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


def choose(
    graph: Graph, device: torch.device, dtype: torch.dtype, values: int | None = None
) -> Choice:
    """The backend for a graph on a device, in a number format, for a call of T x B x H values."""
    backend, refused = _first(graph, device, dtype, values)
    return Choice(backend, _reason(backend, graph, device, dtype), tuple(refused))


def chosen(
    graph: Graph, device: torch.device, dtype: torch.dtype, values: int | None = None
) -> Backend:
    """The backend alone."""
    return _first(graph, device, dtype, values)[0]


def _first(
    graph: Graph, device: torch.device, dtype: torch.dtype, values: int | None
) -> tuple[Backend, list[tuple[str, str]]]:
    """The first backend that does not refuse, and why those before it did."""
    refused: list[tuple[str, str]] = []
    for backend in BACKENDS:
        refusal = backend.refusal(graph, device, dtype, values)
        if refusal is None:
            return backend, refused
        refused.append((backend.name, refusal))
        message = f"does not run on the backend {backend.name}: {refusal}"
        say_once(graph.name, backend.name, message)
    raise AssertionError("the reference backend refuses nothing")


def choose_convolution(graph: Graph, device: torch.device, dtype: torch.dtype) -> Choice:
    """The backend for a graph with convolutions in the place of its products: the reference."""
    why = "its kernels multiply by matrices, and this layer convolves"
    refused = tuple((one.name, why) for one in BACKENDS if not isinstance(one, Reference))
    for name, _ in refused:
        message = f"does not run on the backend {name}: {why}"
        say_once(f"{graph.name} with convolutions", name, message)
    backend = Reference(convolve)
    return Choice(backend, _reason(backend, graph, device, dtype), refused)


def _reason(backend: Backend, graph: Graph, device: torch.device, dtype: torch.dtype) -> str:
    where = f"{graph.name} on {device.type} in {str(dtype).removeprefix('torch.')}"
    return f"{backend.purpose}, for {where}"

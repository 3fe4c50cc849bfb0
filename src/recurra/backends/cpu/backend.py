"""The CPU backend: what runs before the loop in PyTorch, the loop itself in a fused kernel."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.backends.backend import Backend, Given
from recurra.backends.cpu.fused import BITS
from recurra.backends.cpu.operands import operands, text_of
from recurra.backends.cpu.operators import recurrence
from recurra.backends.reference import execute
from recurra.backends.weights import Weights
from recurra.graph import Graph

LEAST = 2**14


class Cpu(Backend):
    """Runs a graph in fused kernels, forward and backward.

    Args:
        least: a call with fewer values (T x B x H) goes to the reference: compiling kernels and
            packing weights would cost more than it saves.
    """

    name = "cpu"
    purpose = "fused kernels, printed from the equations"

    def __init__(self, least: int = LEAST) -> None:
        self.least = max(least, 1)

    def refusal(
        self, graph: Graph, device: torch.device, dtype: torch.dtype, values: int | None = None
    ) -> str | None:
        """It runs on CPUs, in float32 and float64, what is large enough."""
        if device.type != "cpu":
            return f"it runs on a CPU, not on {device.type}"
        if dtype not in BITS:
            return f"it computes in float32 and float64, not in {str(dtype).removeprefix('torch.')}"
        if _transformed():
            return "PyTorch is tracing or transforming this call"
        if graph.shown:
            return f"{', '.join(graph.shown)} is wanted beside the output; kernels give out one"
        if values is not None and values < self.least:
            return f"a call of {values:,} values (T x B x H) is small; it pays from {self.least:,}"
        return None

    def run(
        self, graph: Graph, weights: Weights, given: Given
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `Backend.run`."""
        text = text_of(graph)
        taken = operands(text)
        front = taken.split.front
        values = front.blank(weights, given)
        execute(front.constant, values)
        execute(front.parallel, values)
        dtype = given.states[0].dtype
        tensors = [*(values[slot].to(dtype) for slot in taken.taken), *given.states]
        output, *states = recurrence(tensors, text, given.steps)
        return output, tuple(states)


def _transformed() -> bool:
    """Whether PyTorch traces, vectorises or differentiates forward what runs."""
    return (
        torch._C._get_tracing_state() is not None
        or torch._C._functorch.peek_interpreter_stack() is not None
        or torch.autograd.forward_ad._current_level >= 0
    )

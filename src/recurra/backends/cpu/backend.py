"""The CPU backend: the loop and the products around it in kernels, the rest in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from recurra.backends.backend import Backend, Given, Shortcut
from recurra.backends.cpu.batch import by_length
from recurra.backends.cpu.chunks import chunkwise_of, run_chunkwise
from recurra.backends.cpu.explanation import details
from recurra.backends.cpu.operands import Operands, operands, part, text_of
from recurra.backends.cpu.operators import recurrence
from recurra.backends.cpu.plain import in_the_loop
from recurra.backends.cpu.product import BITS
from recurra.backends.cpu.shortcut import CpuShortcut
from recurra.backends.observed import transformed
from recurra.backends.reference import execute, masked, without_padding
from recurra.backends.weights import Weights
from recurra.graph import Graph
from recurra.graph.rewrite import with_shown

LEAST = 2**13


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
        if transformed():
            return "PyTorch is tracing or transforming this call"
        if values is not None and values < self.least:
            return f"a call of {values:,} values (T x B x H) is small; it pays from {self.least:,}"
        return None

    def run(
        self, graph: Graph, weights: Weights, given: Given
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `Backend.run`."""
        whole = masked(graph) if "alive" in given.sequences else graph
        if chunkwise_of(_lean(whole), given) is not None:
            return _run_dense(whole, weights, without_padding(given))
        if "alive" not in given.sequences:
            return _run(graph, weights, given, given.steps, None)
        if torch.compiler.is_compiling():  # how many rows there are is not known yet
            return _run_masked(graph, weights, given)
        return _run_ragged(graph, weights, given)

    def shortcut(self, graph: Graph, weights: Weights, given: Given) -> Shortcut | None:
        """See `Backend.shortcut`."""
        if operands(text_of(graph)).has_matrices:
            return None
        found = CpuShortcut(text_of(graph), weights, given)
        return found if found.is_good else None

    def details(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        steps: int | None,
        rows: int | None,
        dtype: torch.dtype,
    ) -> list[tuple[str, str]]:
        """See `Backend.details`: tiles, stages, saved values, FLOPs, threads."""
        return details(graph, sizes, steps, rows, dtype)


def _run_dense(graph: Graph, weights: Weights, given: Given) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All steps of all rows; a memory that is a matrix in chunks, if that can be."""
    lean = _lean(graph)
    form = chunkwise_of(lean, given)
    found = None if form is None else run_chunkwise(_run_dense, form, weights, given)
    if found is None:
        return _run(graph, weights, given, given.steps, None)
    output, others = found
    if lean is graph:
        return output, others
    # Whoever looks at a memory in all steps gets it step by step, beside the same output.
    states = len(graph.states)
    shown = dict(zip(lean.shown, others[states:], strict=True))
    names = tuple(name for name in graph.shown if name not in shown)
    _, more = _run(with_shown(graph, names), weights, given, given.steps, None)
    shown |= zip(names, more[states:], strict=True)
    return output, (*others[:states], *(shown[name] for name in graph.shown))


@lru_cache(maxsize=256)
def _lean(graph: Graph) -> Graph:
    """The graph without the matrices that it shows."""
    named = dict(graph.named)
    names = tuple(name for name in graph.shown if len(graph.shapes[named[name]]) < 2)
    return graph if names == graph.shown else with_shown(graph, names)


def _run(
    graph: Graph, weights: Weights, given: Given, steps: int, lengths: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    text = text_of(graph)
    taken = operands(text)
    front = taken.split.front
    values = front.blank(weights, given)
    execute(front.constant, values)
    if torch.is_autocast_enabled("cpu") and taken.has_products:
        return _run_under_autocast(taken, values, given, steps, lengths)
    execute(taken.front, values)
    dtype = given.states[0].dtype
    tensors = [values[slot] for slot in taken.taken]
    tensors = [tensor if tensor.dtype is dtype else tensor.to(dtype) for tensor in tensors]
    tensors += given.states
    found = recurrence(tensors, text, steps, lengths)
    count = len(taken.outputs)
    return _in_order(taken, found[:count], found[count:], values)


def _run_under_autocast(
    taken: Operands, values: list[Tensor], given: Given, steps: int, lengths: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Products of sequences by PyTorch, in autocast's format; the loop by itself."""
    execute(taken.split.front.parallel, values)
    like = given.states[0]
    reads = {
        node: part(values[slot], position, count).to(like.dtype)
        for node, (slot, position, count) in zip(
            taken.split.forward.reads, taken.split.reads, strict=True
        )
    }
    cut = taken.split
    constants, stacked = (
        [values[slot].to(like.dtype) for slot in slots] for slots in (cut.constants, cut.matrices)
    )
    named, inside = in_the_loop(taken, given.steps, reads, constants, stacked, given.states)
    output, others = _run(taken.loop, named, inside, steps, lengths)
    count = len(given.states)
    return _in_order(taken, (output, *others[count:]), others[:count], values)


def _in_order(
    taken: Operands,
    outputs: Sequence[Tensor],
    lasts: Sequence[Tensor],
    values: Sequence[Tensor],
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The output, then the last states, then what is shown."""
    shown = [_shown(source, outputs, values) for source in taken.shown]
    return outputs[0], (*lasts, *shown)


def _shown(
    source: tuple[str, int, int, int, int], outputs: Sequence[Tensor], values: Sequence[Tensor]
) -> Tensor:
    """The sequence of a value that is given out beside the output; see `Operands.shown`."""
    where, number, position, members, own = source
    if where == "loop":
        return outputs[number]
    value = values[number]
    if not isinstance(value, Tensor) or not value.dim():  # a scalar that an edit holds
        return outputs[0].new_ones(1).mul(value).expand(*outputs[0].shape[:2], 1)
    found = part(value, position, members)
    return found.expand(*outputs[0].shape[:2], *found.shape[-own:])


def _run_masked(graph: Graph, weights: Weights, given: Given) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All steps of all rows, what is after their ends left out."""
    return _run(masked(graph), weights, without_padding(given), given.steps, None)


def _run_ragged(graph: Graph, weights: Weights, given: Given) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Rows sorted by length, and only what is before their ends; given back in order."""
    own = by_length(given.sequences["alive"].sum((0, 2)).long())
    if not own.steps:
        return _run_masked(graph, weights, given)

    def packed(sequence: Tensor) -> Tensor:
        return own.packed(sequence.expand(given.steps, given.rows, *sequence.shape[2:]))

    inside = Given(
        1,
        len(own.places),
        {n: packed(s) for n, s in given.sequences.items() if n != "alive"},
        {name: value.index_select(0, own.rows) for name, value in given.per_row.items()},
        tuple(state.index_select(0, own.order) for state in given.states),
    )
    output, others = _run(graph, weights, inside, own.steps, own.lengths)
    count = len(given.states)
    lasts = (state.index_select(0, own.back) for state in others[:count])
    output, *shown = (own.padded(one, given.steps) for one in (output, *others[count:]))
    return output, (*lasts, *shown)

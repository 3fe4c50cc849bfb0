"""The fused recurrence as operators of PyTorch, which compile, export and trace like torch's own.

`recurra::recurrence` is the differentiable one; its two helpers are what it becomes while
gradients are recorded. A graph goes in as text, so that an exported program holds its equations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recurra.backends.cpu import fused
from recurra.backends.cpu.operands import Operands, operands
from recurra.backends.cpu.plain import plain
from recurra.backends.said import say_once

LIBRARY = torch.library.Library("recurra", "DEF")
_TAKES = "Tensor[] tensors, str graph, SymInt steps, Tensor? lengths"
LIBRARY.define(f"recurrence({_TAKES}) -> Tensor[]")
LIBRARY.define(f"recurrence_training({_TAKES}) -> Tensor[]")
LIBRARY.define(
    f"recurrence_backward({_TAKES}, Tensor output, Tensor[] kept, Tensor d_output, "
    "Tensor[] d_states) -> Tensor[]"
)


def recurrence(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None = None
) -> list[Tensor]:
    """Run a graph over time.

    Args:
        tensors: as `Operands` orders them: sources (T, B, ·) or (1, B, ·), constants, stacked
            matrices, states (B, size); all of one number format.
        graph: the step, as `recurra.graph.serial.dumps` writes it.
        steps: T.
        lengths: (B,) int64, the longest first, if rows end; sources are (1, N, ·) then, with all
            rows of the first step before those of the second.

    Returns:
        The output (T, B, size), in the form of the sources, and the states after the last step of
        each row, (B, size) each.
    """
    found: list[Tensor] = torch.ops.recurra.recurrence.default(tensors, graph, steps, lengths)
    return found


def _kernel(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None
) -> list[Tensor]:
    return fused.inference(fused.Call.of(graph, steps, tensors, lengths), tensors)


def _training(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None
) -> list[Tensor]:
    return fused.training(fused.Call.of(graph, steps, tensors, lengths), tensors)


def _backward(
    tensors: Sequence[Tensor],
    graph: str,
    steps: int,
    lengths: Tensor | None,
    output: Tensor,
    kept: Sequence[Tensor],
    d_output: Tensor,
    d_states: Sequence[Tensor],
) -> list[Tensor]:
    call = fused.Call.of(graph, steps, tensors, lengths)
    return fused.gradients(call, tensors, output, kept, d_output, d_states)


def _shapes(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None
) -> list[Tensor]:
    taken = operands(graph)
    output = _output_shape(taken, tensors, steps, lengths)
    return [output, *map(torch.empty_like, taken.divide(tensors)[3])]


def _extent(tensors: Sequence[Tensor], steps: int, lengths: Tensor | None) -> tuple[int, int]:
    """The first two dimensions of a sequence."""
    return (steps, tensors[-1].shape[0]) if lengths is None else (1, tensors[0].shape[1])


def _history(state: Tensor, tensors: Sequence[Tensor], steps: int, ragged: bool) -> Tensor:
    """Room for a state before the first step and after each."""
    rows = state.shape[0]
    first = (1, rows + tensors[0].shape[1]) if ragged else (steps + 1, rows)
    return state.new_empty(*first, state.shape[1])


def _output_shape(
    taken: Operands, tensors: Sequence[Tensor], steps: int, lengths: Tensor | None
) -> Tensor:
    step, last = taken.split.graph, tensors[-1]
    (letter,) = step.shapes[step.output]
    size = taken.sizes(tensors)[letter]
    if taken.output_state is None:
        return last.new_empty(*_extent(tensors, steps, lengths), size)
    # behind the state before the first step
    if lengths is None:
        return last.new_empty(steps + 1, last.shape[0], size)[1:]
    return last.new_empty(1, last.shape[0] + tensors[0].shape[1], size)[:, last.shape[0] :]


def _training_shapes(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None
) -> list[Tensor]:
    taken = operands(graph)
    sizes, states = taken.sizes(tensors), taken.divide(tensors)[3]
    histories = [
        _history(state, tensors, steps, lengths is not None)
        for number, state in enumerate(states)
        if number != taken.output_state
    ]
    shapes = [taken.split.graph.shapes[node] for node in taken.kept]
    extent = _extent(tensors, steps, lengths)
    stores = [
        states[0].new_empty(*extent, *([sizes[letter] for letter in shape] or [1]))
        for shape in shapes
    ]
    return [*_shapes(tensors, graph, steps, lengths), *histories, *stores]


def _gradient_shapes(
    tensors: Sequence[Tensor],
    graph: str,
    steps: int,
    lengths: Tensor | None,
    output: Tensor,
    kept: Sequence[Tensor],
    d_output: Tensor,
    d_states: Sequence[Tensor],
) -> list[Tensor]:
    reached = operands(graph).differentiable
    return [t.new_empty(t.shape) for t, has in zip(tensors, reached, strict=True) if has]


class Recurrence(torch.autograd.Function):
    """(graph, T, lengths, tensors) -> (output, last states), differentiable."""

    @staticmethod
    def forward(
        ctx: Any, graph: str, steps: int, lengths: Tensor | None, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        """Run forward and keep what the backward direction reads."""
        results = torch.ops.recurra.recurrence_training.default(tensors, graph, steps, lengths)
        given = 1 + len(operands(graph).split.graph.states)
        ctx.given, ctx.count = (graph, steps, lengths), len(tensors)
        ctx.save_for_backward(*tensors, results[0], *results[given:])
        return tuple(results[:given])

    @staticmethod
    def backward(ctx: Any, d_output: Tensor, *d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for everything; second derivatives go through PyTorch."""
        saved = ctx.saved_tensors  # once: a checkpoint computes them when they are asked for
        tensors, (output, *kept) = saved[: ctx.count], saved[ctx.count :]
        if torch.is_grad_enabled():
            return (None, None, None, *_plain_gradients(ctx, tensors, (d_output, *d_states)))
        found = iter(
            torch.ops.recurra.recurrence_backward.default(
                tensors, *ctx.given, output, kept, d_output, d_states
            )
        )
        reached = operands(ctx.given[0]).differentiable
        return (None, None, None, *(next(found) if has else None for has in reached))


def _plain_gradients(
    ctx: Any, tensors: Sequence[Tensor], gradients: tuple[Tensor, ...]
) -> tuple[Tensor | None, ...]:
    graph, steps, lengths = ctx.given
    taken = operands(graph)
    say_once(
        taken.graph.name,
        "second derivatives",
        "computes gradients in PyTorch, a Python loop over time: second derivatives are asked for",
    )
    results = plain(taken, steps, lengths, tensors)
    wanted = [t for t in tensors if t.requires_grad]
    found = iter(
        torch.autograd.grad(results, wanted, gradients, create_graph=True, allow_unused=True)
    )
    return tuple(next(found) if t.requires_grad else None for t in tensors)


def _differentiable(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None
) -> list[Tensor]:
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return list(Recurrence.apply(graph, steps, lengths, *tensors))
    with torch._C._AutoDispatchBelowAutograd():
        return recurrence(tensors, graph, steps, lengths)


for _name, _real, _fake in (
    ("recurrence", _kernel, _shapes),
    ("recurrence_training", _training, _training_shapes),
    ("recurrence_backward", _backward, _gradient_shapes),
):
    LIBRARY.impl(_name, _real, "CPU")
    torch.library.register_fake(f"recurra::{_name}", _fake, lib=LIBRARY)
LIBRARY.impl("recurrence", _differentiable, "Autograd")

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
LIBRARY.define("recurrence(Tensor[] tensors, str graph, SymInt steps) -> Tensor[]")
LIBRARY.define("recurrence_training(Tensor[] tensors, str graph, SymInt steps) -> Tensor[]")
LIBRARY.define(
    "recurrence_backward(Tensor[] tensors, Tensor output, Tensor[] kept, Tensor d_output, "
    "Tensor[] d_states, str graph, SymInt steps) -> Tensor[]"
)


def recurrence(tensors: Sequence[Tensor], graph: str, steps: int) -> list[Tensor]:
    """Run a graph over time.

    Args:
        tensors: as `Operands` orders them: sources (T, B, ·) or (1, B, ·), constants, stacked
            matrices, states (B, size); all of one number format.
        graph: the step, as `recurra.graph.serial.dumps` writes it.
        steps: T.

    Returns:
        The output (T, B, size) and the states after the last step, (B, size) each.
    """
    found: list[Tensor] = torch.ops.recurra.recurrence.default(tensors, graph, steps)
    return found


def _kernel(tensors: Sequence[Tensor], graph: str, steps: int) -> list[Tensor]:
    return fused.inference(fused.Call.of(graph, steps, tensors), tensors)


def _training(tensors: Sequence[Tensor], graph: str, steps: int) -> list[Tensor]:
    return fused.training(fused.Call.of(graph, steps, tensors), tensors)


def _backward(
    tensors: Sequence[Tensor],
    output: Tensor,
    kept: Sequence[Tensor],
    d_output: Tensor,
    d_states: Sequence[Tensor],
    graph: str,
    steps: int,
) -> list[Tensor]:
    call = fused.Call.of(graph, steps, tensors)
    return fused.gradients(call, tensors, output, kept, d_output, d_states)


def _shapes(tensors: Sequence[Tensor], graph: str, steps: int) -> list[Tensor]:
    taken = operands(graph)
    return [_output_shape(taken, tensors, steps), *map(torch.empty_like, taken.divide(tensors)[3])]


def _output_shape(taken: Operands, tensors: Sequence[Tensor], steps: int) -> Tensor:
    step, last = taken.split.graph, tensors[-1]
    (letter,) = step.shapes[step.output]
    size = taken.sizes(tensors)[letter]
    if taken.output_state is None:
        return last.new_empty(steps, last.shape[0], size)
    return last.new_empty(steps + 1, last.shape[0], size)[1:]  # behind the state before


def _training_shapes(tensors: Sequence[Tensor], graph: str, steps: int) -> list[Tensor]:
    taken = operands(graph)
    sizes, states = taken.sizes(tensors), taken.divide(tensors)[3]
    histories = [
        state.new_empty(steps + 1, *state.shape)
        for number, state in enumerate(states)
        if number != taken.output_state
    ]
    shapes = [taken.split.graph.shapes[node] for node in taken.kept]
    rows = states[0].shape[0]
    stores = [
        states[0].new_empty(steps, rows, *([sizes[letter] for letter in shape] or [1]))
        for shape in shapes
    ]
    return [*_shapes(tensors, graph, steps), *histories, *stores]


def _gradient_shapes(
    tensors: Sequence[Tensor],
    output: Tensor,
    kept: Sequence[Tensor],
    d_output: Tensor,
    d_states: Sequence[Tensor],
    graph: str,
    steps: int,
) -> list[Tensor]:
    reached = operands(graph).differentiable
    return [t.new_empty(t.shape) for t, has in zip(tensors, reached, strict=True) if has]


class Recurrence(torch.autograd.Function):
    """(graph, T, tensors) -> (output, last states), differentiable."""

    @staticmethod
    def forward(ctx: Any, graph: str, steps: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run forward and keep what the backward direction reads."""
        results = torch.ops.recurra.recurrence_training.default(tensors, graph, steps)
        given = 1 + len(operands(graph).split.graph.states)
        ctx.graph, ctx.steps, ctx.count = graph, steps, len(tensors)
        ctx.save_for_backward(*tensors, results[0], *results[given:])
        return tuple(results[:given])

    @staticmethod
    def backward(ctx: Any, d_output: Tensor, *d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for everything; second derivatives go through PyTorch."""
        tensors, (output, *kept) = ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        if torch.is_grad_enabled():
            return (None, None, *_plain_gradients(ctx, tensors, (d_output, *d_states)))
        found = iter(
            torch.ops.recurra.recurrence_backward.default(
                tensors, output, kept, d_output, d_states, ctx.graph, ctx.steps
            )
        )
        reached = operands(ctx.graph).differentiable
        return (None, None, *(next(found) if has else None for has in reached))


def _plain_gradients(
    ctx: Any, tensors: Sequence[Tensor], gradients: tuple[Tensor, ...]
) -> tuple[Tensor | None, ...]:
    taken = operands(ctx.graph)
    say_once(
        taken.graph.name,
        "second derivatives",
        "computes gradients in PyTorch, a Python loop over time: second derivatives are asked for",
    )
    results = plain(taken, ctx.steps, tensors)
    wanted = [t for t in tensors if t.requires_grad]
    found = iter(
        torch.autograd.grad(results, wanted, gradients, create_graph=True, allow_unused=True)
    )
    return tuple(next(found) if t.requires_grad else None for t in tensors)


def _differentiable(tensors: Sequence[Tensor], graph: str, steps: int) -> list[Tensor]:
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return list(Recurrence.apply(graph, steps, *tensors))
    with torch._C._AutoDispatchBelowAutograd():
        return recurrence(tensors, graph, steps)


for _name, _real, _fake in (
    ("recurrence", _kernel, _shapes),
    ("recurrence_training", _training, _training_shapes),
    ("recurrence_backward", _backward, _gradient_shapes),
):
    LIBRARY.impl(_name, _real, "CPU")
    torch.library.register_fake(f"recurra::{_name}", _fake, lib=LIBRARY)
LIBRARY.impl("recurrence", _differentiable, "Autograd")

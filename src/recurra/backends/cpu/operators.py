"""The fused recurrence as operators of PyTorch, which compile, export and trace like torch's own.

`recurra::recurrence` is the differentiable one; its two helpers are what it becomes while
gradients are recorded. A graph goes in as text, so that an exported program holds its equations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.backends.cpu import fused, memory
from recurra.backends.cpu.operands import Operands, operands
from recurra.backends.cpu.plain import plain
from recurra.backends.cpu.plans import Plan
from recurra.backends.cpu.product import vectorised
from recurra.backends.cpu.row_blocks import RowBlocks
from recurra.backends.observed import PLAIN, observed
from recurra.backends.said import say_once
from recurra.graph import Expression

_FEW = 2**14  # numbers
LIBRARY = torch.library.Library("recurra", "DEF")
_HOW = "str graph, SymInt steps, Tensor? lengths=None"
LIBRARY.define(f"recurrence(Tensor[] tensors, {_HOW}) -> Tensor[]")
LIBRARY.define(f"recurrence_training(Tensor[] tensors, {_HOW}) -> Tensor[]")
LIBRARY.define(
    "recurrence_backward(Tensor[] tensors, Tensor[] kept, Tensor[] d_outputs, Tensor[] d_states, "
    f"bool[] wanted, {_HOW}) -> Tensor[]"
)


def recurrence(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None = None
) -> list[Tensor]:
    """Run a graph over time.

    Args:
        tensors: as `Operands` orders them: sources (T, B, ·) or (1, B, ·), each followed by weights
            (N, ·) and perhaps a bias (N,) if it is to be multiplied with them first; constants,
            stacked matrices, states (B, size); all of one number format.
        graph: the step, as `recurra.graph.serial.dumps` writes it.
        steps: T.
        lengths: (B,) int64, the longest first, if rows end; sources are (1, N, ·) then, with all
            rows of the first step before those of the second.

    Returns:
        The output (T, B, size) and what is shown beside it, in the form of the sources (see
        `Operands.outputs`), then the states after the last step of each row, (B, size) each.
    """
    if not _alone(tensors):
        found: list[Tensor] = torch.ops.recurra.recurrence.default(tensors, graph, steps, lengths)
        return found
    if _records(tensors):
        return list(Recurrence.apply(Way(graph, steps, lengths), *tensors))
    return fused.inference(tensors, graph, steps, lengths)


def _records(tensors: Sequence[Tensor]) -> bool:
    """Whether gradients are being recorded for any of the tensors."""
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _alone(tensors: Sequence[Tensor]) -> bool:
    """Whether nobody looks at the operators of a call: no compiler, no mode, no profiler.

    Then they are called as functions. Through PyTorch's dispatcher, each takes a while to begin.
    """
    return not observed() and all([type(tensor) in PLAIN for tensor in tensors])


def _kernel(*given: Any) -> list[Tensor]:
    return fused.inference(*given)


def _training(*given: Any) -> list[Tensor]:
    return fused.training(*given)


def _backward(*given: Any) -> list[Tensor]:
    return fused.gradients(*given)


def _shapes(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None = None
) -> list[Tensor]:
    taken = operands(graph)
    outputs = _output_shapes(taken, tensors, steps, lengths)
    flat = [*outputs, *map(_row_by_row, taken.divide(tensors)[3])]
    return fused.shaped(taken, flat, tensors) if taken.has_matrices else flat


def _row_by_row(state: Tensor) -> Tensor:
    """Room for the last values of a state, (B, size)."""
    return torch.empty_like(state) if state.dim() == 2 else state.new_empty(state.shape).flatten(1)


def _extent(tensors: Sequence[Tensor], steps: int, lengths: Tensor | None) -> tuple[int, int]:
    """The first two dimensions of a sequence."""
    return (steps, tensors[-1].shape[0]) if lengths is None else (1, tensors[0].shape[1])


def _slots(state: Tensor, tensors: Sequence[Tensor], steps: int, ragged: bool) -> Tensor:
    """Room for a state before the first step and after each."""
    rows = state.shape[0]
    first = (1, rows + tensors[0].shape[1]) if ragged else (steps + 1, rows)
    return state.new_empty(*first, math.prod(state.shape[1:]))


def _after(slots: Tensor, tensors: Sequence[Tensor], ragged: bool) -> Tensor:
    """The state after each step."""
    return slots[:, tensors[-1].shape[0] :] if ragged else slots[1:]


def _apart(view: Tensor) -> Tensor:
    """Room in the form of a view, but by itself."""
    return view.new_empty_strided(view.shape, view.stride())


def _sequence(
    taken: Operands,
    node: Expression,
    tensors: Sequence[Tensor],
    steps: int,
    lengths: Tensor | None,
) -> Tensor:
    """Room for a value of every step and row, the numbers of a matrix one after another."""
    size = math.prod(taken.shape_of(node, taken.sizes([t.shape for t in tensors])))
    return tensors[-1].new_empty(*_extent(tensors, steps, lengths), size)


def _output_shapes(
    taken: Operands, tensors: Sequence[Tensor], steps: int, lengths: Tensor | None
) -> list[Tensor]:
    states, ragged = taken.divide(tensors)[3], lengths is not None
    return [
        _sequence(taken, node, tensors, steps, lengths)
        if state is None
        else _apart(_after(_slots(states[state], tensors, steps, ragged), tensors, ragged))
        for node, state in zip(taken.outputs, taken.output_states, strict=True)
    ]


def _training_shapes(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None = None
) -> list[Tensor]:
    taken = operands(graph)
    states, like = taken.divide(tensors)[3], tensors[-1]
    outputs = zip(taken.outputs, taken.output_states, strict=True)
    others = [node for node, state in outputs if state is None]
    sizes, shapes = taken.sizes([t.shape for t in tensors]), taken.split.graph.shapes
    widths = [
        sum(math.prod(sizes[letter] for letter in shapes[node]) for node in nodes)
        for _, nodes in taken.kept_together
    ]
    extent = _extent(tensors, steps, lengths)
    products = [
        (tensors[own.first].shape, tensors[own.first + 1].shape[0])
        for own in map(taken.sources.__getitem__, taken.kept_sources)
    ]
    return [
        *(_slots(state, tensors, steps, lengths is not None) for state in states),
        *(_sequence(taken, node, tensors, steps, lengths) for node in others),
        *map(_row_by_row, states),
        *(like.new_empty(*extent, width) for width in widths),
        *(like.new_empty(x[0], x[1], width) for x, width in products),
    ]


def _gradient_shapes(
    tensors: Sequence[Tensor],
    kept: Sequence[Tensor],
    d_outputs: Sequence[Tensor],
    d_states: Sequence[Tensor],
    wanted: Sequence[bool],
    graph: str,
    steps: int,
    lengths: Tensor | None = None,
) -> list[Tensor]:
    reached = operands(graph).differentiable
    given = zip(tensors, reached, wanted, strict=True)
    return [t.new_empty(t.shape) for t, has, asked in given if has and asked]


class Way(NamedTuple):
    """How a recurrence runs.

    Attributes:
        graph: see `recurrence`.
        steps: T.
        lengths: see `recurrence`.
        plan: the `training_plan` of the tensors, where it is known already.
        blocks: how the tensors are put together from what is given; None: they are given.
    """

    graph: str
    steps: int
    lengths: Tensor | None
    plan: Plan | None = None
    blocks: RowBlocks | None = None

    def tensors(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """The tensors of the recurrence."""
        return inputs if self.blocks is None else self.blocks.tensors(inputs)

    def made_of(self, inputs: Sequence[Tensor], made: Iterable[Tensor]) -> Sequence[Tensor]:
        """The same, where those are known that are no input as it is."""
        if self.blocks is None:
            return inputs
        rest = iter(made)
        return [next(rest) if k is None else inputs[k] for k in self.blocks.whole]


class Recurrence(torch.autograd.Function):
    """(way, inputs) -> (outputs, last states), differentiable."""

    @staticmethod
    def forward(ctx: Any, way: Way, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run forward and keep what the backward direction reads."""
        graph, steps, lengths, plan, blocks = way
        tensors = way.tensors(inputs)
        if plan is not None and not observed():
            results = plan.run(tensors)
        elif _alone(tensors):
            results = fused.training(tensors, graph, steps, lengths)
        else:
            given = tensors, graph, steps, lengths
            results = torch.ops.recurra.recurrence_training.default(*given)
        taken = operands(graph)
        states = len(taken.split.graph.states)
        last = states + taken.output_states.count(None)
        whole = [] if blocks is None else blocks.whole
        made = [tensor for tensor, k in zip(tensors, whole, strict=False) if k is None]
        ctx.way, ctx.counts = way, (len(inputs), len(made), len(taken.outputs))
        ctx.save_for_backward(*inputs, *made, *results[:last], *results[last + states :])
        others = iter(results[states:last])
        outputs = [
            next(others) if state is None else _after(results[state], tensors, lengths is not None)
            for state in taken.output_states
        ]
        found = (*outputs, *results[last : last + states])
        if taken.has_matrices:
            found = (*fused.shaped(taken, found, tensors),)
        ctx.shapes = [value.shape for value in found]
        ctx.set_materialize_grads(False)
        return found

    @staticmethod
    def backward(ctx: Any, *d: Tensor | None) -> tuple[Tensor | None, ...]:
        """Gradients for everything that needs one; PyTorch's if they are to be differentiated."""
        saved = ctx.saved_tensors  # once: a checkpoint computes them when they are asked for
        count, more, given_out = ctx.counts
        way, inputs, kept = ctx.way, saved[:count], saved[count + more :]
        gradients = _with_zeros(d, ctx.shapes, saved[0])
        if torch.is_grad_enabled() or vectorised(gradients):
            with torch.enable_grad():
                return None, *_plain_gradients(way, inputs, gradients)
        asked = ctx.needs_input_grad[1:]
        wanted = asked if way.blocks is None else way.blocks.wanted(asked)
        alone = _alone(gradients)
        run = fused.gradients if alone else torch.ops.recurra.recurrence_backward.default
        tensors = way.made_of(inputs, saved[count : count + more])
        given = (gradients[:given_out], gradients[given_out:], wanted)
        rest = iter(run(tensors, kept, *given, *way[:3]))
        pairs = zip(operands(way.graph).differentiable, wanted, strict=True)
        found = [next(rest) if has and one else None for has, one in pairs]
        return None, *(found if way.blocks is None else way.blocks.gradients(found, asked))


def _with_zeros(
    gradients: Sequence[Tensor | None], shapes: Sequence[torch.Size], like: Tensor
) -> tuple[Tensor, ...]:
    """The gradients; 0 for what nobody has used."""
    alone = not observed()
    return tuple(
        [
            d if d is not None else _zeros(shape, like.dtype) if alone else like.new_zeros(shape)
            for d, shape in zip(gradients, shapes, strict=True)
        ]
    )


def _zeros(shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Zeros that nobody changes; small ones are kept."""
    if shape.numel() <= _FEW:
        return memory.zeros(shape, dtype)
    return torch.zeros(shape, dtype=dtype, device="cpu")


def _plain_gradients(
    way: Way, inputs: Sequence[Tensor], gradients: tuple[Tensor, ...]
) -> tuple[Tensor | None, ...]:
    taken = operands(way.graph)
    many = vectorised(gradients)
    what = "many gradients at once" if many else "second derivatives"
    how = "computes gradients in PyTorch, a Python loop over time"
    say_once(taken.graph.name, what, f"{how}: {what} are asked for")
    # Of these alone: an input may be made of another one, or be the same.
    own = [t.view_as(t) if t.requires_grad else t for t in inputs]
    results = plain(taken, way.steps, way.lengths, way.tensors(own))
    wanted = [t for t in own if t.requires_grad]
    pairs = [pair for pair in zip(results, gradients, strict=True) if pair[0].requires_grad]
    results, gradients = zip(*pairs, strict=True)
    found = iter(
        torch.autograd.grad(results, wanted, gradients, create_graph=not many, allow_unused=True)
    )
    return tuple(next(found) if t.requires_grad else None for t in inputs)


def _differentiable(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None = None
) -> list[Tensor]:
    if _records(tensors):
        return list(Recurrence.apply(Way(graph, steps, lengths), *tensors))
    with torch._C._AutoDispatchBelowAutograd():
        found: list[Tensor] = torch.ops.recurra.recurrence.default(tensors, graph, steps, lengths)
    return found


for _name, _real, _fake in (
    ("recurrence", _kernel, _shapes),
    ("recurrence_training", _training, _training_shapes),
    ("recurrence_backward", _backward, _gradient_shapes),
):
    LIBRARY.impl(_name, _real, "CPU")
    torch.library.register_fake(f"recurra::{_name}", _fake, lib=LIBRARY)
LIBRARY.impl("recurrence", _differentiable, "Autograd")

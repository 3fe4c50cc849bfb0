"""The fused recurrence on real tensors: forward, forward for training, backward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.backends.cpu import memory
from recurra.backends.cpu.compiled import Compiled, Machine, compiled
from recurra.backends.cpu.operands import Operands, operands
from recurra.backends.cpu.product import transposed_product
from recurra.backends.cpu.run import Carried, run
from recurra.graph import Expression

BITS = {torch.float32: 32, torch.float64: 64}


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a recurrence.

    Attributes:
        operands: which tensors it takes.
        compiled: its kernels.
        steps: T.
        rows: B.
    """

    operands: Operands
    compiled: Compiled
    steps: int
    rows: int

    @classmethod
    def of(cls, text: str, steps: int, tensors: Sequence[Tensor]) -> Call:
        """The call of a graph (as text) on tensors as `Operands` orders them."""
        taken = operands(text)
        sizes = tuple(sorted(taken.sizes(tensors).items()))
        last = tensors[-1]  # a state
        return cls(taken, compiled(taken.graph, sizes, BITS[last.dtype]), steps, last.shape[0])


def inference(call: Call, tensors: Sequence[Tensor]) -> list[Tensor]:
    """(output, last states), keeping nothing: (T, B, size) and (B, size) each."""
    output, carried, _ = _forward(call, tensors, training=False)
    return [output, *(one.last.clone() for one in carried)]


def training(call: Call, tensors: Sequence[Tensor]) -> list[Tensor]:
    """(output, last states, what `gradients` needs beside), no two of them in the same memory."""
    output, carried, stores = _forward(call, tensors, training=True)
    lasts = [one.last.clone() for one in carried]
    histories = [one.slots for k, one in enumerate(carried) if k != call.operands.output_state]
    return [output, *lasts, *histories, *(stores[node] for node in call.operands.kept)]


def _forward(
    call: Call, tensors: Sequence[Tensor], training: bool
) -> tuple[Tensor, list[Carried], dict[Expression, Tensor]]:
    """Run forward: the output (T, B, size), the states, and what is stored."""
    sources, constants, stacked, before = call.operands.divide(tensors)
    machine = call.compiled.training if training else call.compiled.inference
    of_output = call.operands.output_state
    states = [
        Carried.starting(state, call.steps, training or number == of_output)
        for number, state in enumerate(before)
    ]
    stores = _room(machine, call, before[0])
    if call.steps and call.rows:
        run(
            machine,
            call.steps,
            call.rows,
            call.operands.read(sources),
            call.operands.constants(constants),
            call.operands.matrices(stacked),
            states,
            stores,
        )
    if of_output is not None:
        return states[of_output].slots[1:], states, stores
    return stores[call.operands.split.graph.output], states, stores


def _room(
    machine: Machine, call: Call, like: Tensor, groups: Sequence[Sequence[Expression]] = ()
) -> dict[Expression, Tensor]:
    """Memory for the stores of a program; those of a group side by side, rows without gaps."""
    stores: dict[Expression, Tensor] = {}
    for group in [*groups, *([node] for node in machine.program.stores)]:
        new = [node for node in dict.fromkeys(group) if node not in stores]
        if new:
            sizes = [machine.kernel.size(node) for node in new]
            room = memory.empty(like, call.steps, call.rows, sum(sizes))
            stores |= dict(zip(new, room.split(sizes, -1), strict=True))
    return stores


def gradients(
    call: Call,
    tensors: Sequence[Tensor],
    output: Tensor,
    kept: Sequence[Tensor],
    d_output: Tensor,
    d_states: Sequence[Tensor],
) -> list[Tensor]:
    """The gradients of `tensors`, of those that have one (`Operands.differentiable`).

    Each has the shape of its tensor, rows without gaps, and memory of its own.
    """
    sources, constants, stacked, before = call.operands.divide(tensors)
    back, machine = call.operands.split.backward, call.compiled.gradients
    there = call.operands.read(sources) | _values_there(call, before, output, kept)
    values = {leaf: there[value] for value, leaf in back.values}
    states = [Carried.starting(d, call.steps, history=False) for d in d_states]
    matrices = call.operands.matrices(stacked)
    room = _room(machine, call, d_output, _groups(call))
    if call.steps and call.rows:
        run(
            machine,
            call.steps,
            call.rows,
            values | {back.d_output: d_output},
            call.operands.constants(constants),
            {node: _turned(node, matrices) for node in machine.program.matrices},
            states,
            room,
        )
    found = [
        *_source_gradients(call, sources, room),
        *_constant_gradients(constants, back.constants, room),
        *_matrix_gradients(call, stacked, values | room),
        *(carried.last.clone() for carried in states),
    ]
    return _apart([d for d in found if d is not None])


def _values_there(
    call: Call, before: Sequence[Tensor], output: Tensor, kept: Sequence[Tensor]
) -> dict[Expression, Tensor]:
    """What `training` gave: the states before and after each step, and the values kept."""
    graph, of_output = call.operands.split.graph, call.operands.output_state
    there = {graph.output: output}
    rest = iter(kept)
    for number, (state, update) in enumerate(zip(graph.states, graph.updates, strict=True)):
        slots = _history(before[number], output) if number == of_output else next(rest)
        there |= {update: slots[1:], state: slots[:-1]}
    return there | dict(zip(call.operands.kept, rest, strict=True))


def _history(before: Tensor, after: Tensor) -> Tensor:
    """A state before the first step and after each, (T + 1, B, size).

    `training` wrote them one after another; a copy is made if they stand so no more.
    """
    start = after.storage_offset() - before.numel()
    if start >= 0 and after.is_contiguous():
        size = (len(after) + 1, *before.shape)
        whole = after.as_strided(size, (before.numel(), before.shape[-1], 1), start)
        if torch.equal(whole[0], before):
            return whole
    return torch.cat([before.unsqueeze(0), after])


def _apart(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors without gaps, no two of them in the same memory."""
    found, seen = [], set()
    for tensor in tensors:
        place = tensor.untyped_storage().data_ptr()
        found.append(tensor.clone() if place in seen else tensor.contiguous())
        seen.add(place)
    return found


def _groups(call: Call) -> list[list[Expression]]:
    """The gradients that one product reads together: those of a stack of matrices."""
    split = call.operands.split
    return [
        [gradient for gradient, _ in _of_stack(call, *stack).values() if gradient.args]
        for stack in split.stacks
    ]


def _of_stack(
    call: Call, operand: Expression, nodes: Sequence[Expression]
) -> dict[Expression, tuple[Expression, Expression]]:
    """For each matrix of a stack that gets one: (gradient of its product, value of the operand)."""
    products = call.operands.split.backward.products
    return {
        product.matrix: (product.gradient, product.value)
        for product in products
        if product.operand is operand and product.matrix in nodes
    }


def _turned(node: Expression, matrices: dict[Expression, Tensor]) -> Tensor:
    """A matrix of the backward program: one of the forward program, as it is or mirrored."""
    if node in matrices:
        return matrices[node]
    other = node.args[0] if node.op == "transpose" else Expression("transpose", (node,))
    return matrices[other].t()


def _source_gradients(
    call: Call, sources: Sequence[Tensor], room: dict[Expression, Tensor]
) -> list[Tensor | None]:
    found: list[Tensor | None] = []
    for number, source in enumerate(sources):
        mine = [
            (position, d)
            for (which, position, _), d in zip(
                call.operands.reads, call.operands.split.backward.reads, strict=True
            )
            if which == number
        ]
        parts = [room[d] if d is not None else None for _, d in sorted(mine, key=lambda m: m[0])]
        like = next((part for part in parts if part is not None), None)
        if like is None:
            found.append(None)
            continue
        whole = _beside([torch.zeros_like(like) if part is None else part for part in parts])
        found.append(whole.sum(0, keepdim=True) if source.shape[0] == 1 != call.steps else whole)
    return found


def _beside(parts: list[Tensor]) -> Tensor:
    """Tensors side by side: a view if they stand so in memory already."""
    first, width = parts[0], parts[0].shape[-1]
    size = first.element_size()
    side_by_side = all(
        part.data_ptr() == first.data_ptr() + k * width * size
        and part.stride() == first.stride()
        and part.shape == first.shape
        for k, part in enumerate(parts)
    )
    if not side_by_side:
        return torch.cat(parts, -1)
    return first.as_strided((*first.shape[:-1], width * len(parts)), first.stride())


def _constant_gradients(
    constants: Sequence[Tensor],
    expressions: Sequence[Expression | None],
    room: dict[Expression, Tensor],
) -> list[Tensor | None]:
    return [
        None if d is None else room[d].sum((0, 1)).reshape(constant.shape)
        for constant, d in zip(constants, expressions, strict=True)
    ]


def _matrix_gradients(
    call: Call, stacked: Sequence[Tensor], values: dict[Expression, Tensor]
) -> list[Tensor | None]:
    """For each stack of matrices, one product over all rows and steps."""
    found: list[Tensor | None] = []
    for (operand, nodes), stack in zip(call.operands.split.stacks, stacked, strict=True):
        products = _of_stack(call, operand, nodes)
        if not products:
            found.append(None)
            continue
        gradient, value = next(iter(products.values()))
        zero = torch.zeros_like(values[gradient]) if len(products) < len(nodes) else None
        parts = [values[products[m][0]] if m in products else zero for m in nodes]
        left = _beside([part for part in parts if part is not None]).flatten(0, 1)
        found.append(transposed_product(left, values[value].flatten(0, 1)).view_as(stack))
    return found

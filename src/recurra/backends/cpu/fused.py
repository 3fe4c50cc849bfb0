"""The fused recurrence as one differentiable function of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recurra.backends.cpu import memory
from recurra.backends.cpu.compiled import Compiled, Machine
from recurra.backends.cpu.product import transposed_product
from recurra.backends.cpu.run import Carried, run
from recurra.graph import Expression

Slow = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of the recurrence.

    Attributes:
        compiled: the kernels.
        steps: T.
        rows: B.
        sources: number of distinct tensors from which reads are taken.
        reads: for each read, (source, position in it, members of it).
        slow: the same function in differentiable PyTorch, for second derivatives.
    """

    compiled: Compiled
    steps: int
    rows: int
    sources: int
    reads: tuple[tuple[int, int, int], ...]
    slow: Slow

    def divide(self, tensors: Sequence[Tensor]) -> tuple[Sequence[Tensor], ...]:
        """(sources, constants, stacked matrices, states)."""
        split = self.compiled.split
        a = self.sources
        b = a + len(split.constants)
        c = b + len(split.matrices)
        return tensors[:a], tensors[a:b], tensors[b:c], tensors[c:]

    def read(self, sources: Sequence[Tensor]) -> dict[Expression, Tensor]:
        """Each read by itself: a view of its source."""
        nodes = self.compiled.split.forward.reads
        return {
            node: _part(sources[source], position, members)
            for node, (source, position, members) in zip(nodes, self.reads, strict=True)
        }

    def matrices(self, stacked: Sequence[Tensor]) -> dict[Expression, Tensor]:
        """Each matrix by itself: a view of its stack."""
        found: dict[Expression, Tensor] = {}
        for (_, nodes), stack in zip(self.compiled.split.stacks, stacked, strict=True):
            found |= dict(zip(nodes, stack.chunk(len(nodes)), strict=True))
        return found


def _part(source: Tensor, position: int, members: int) -> Tensor:
    width = source.shape[-1] // members
    return source.narrow(-1, position * width, width)


def forward(
    call: Call, tensors: Sequence[Tensor], training: bool
) -> tuple[Tensor, list[Carried], dict[Expression, Tensor]]:
    """Run forward: the output (T, B, size), the states, and what is kept for the backward pass."""
    sources, constants, stacked, before = call.divide(tensors)
    split, compiled = call.compiled.split, call.compiled
    graph = split.graph
    machine = compiled.training if training else compiled.inference
    states = [
        Carried.starting(state, call.steps, training or update is graph.output)
        for state, update in zip(before, graph.updates, strict=True)
    ]
    stores = _room(machine, call, before[0])
    run(
        machine,
        call.steps,
        call.rows,
        call.read(sources),
        dict(zip(split.forward.constants, constants, strict=True)),
        call.matrices(stacked),
        states,
        stores,
    )
    if graph.output in graph.updates:
        output = states[graph.updates.index(graph.output)].slots[1:]
    else:
        output = stores[graph.output]
    return output, states, stores


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


class Recurrence(torch.autograd.Function):
    """(call, sources, constants, stacked matrices, states) -> (output, last states)."""

    @staticmethod
    def forward(ctx: Any, call: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run forward and keep what the backward direction reads."""
        output, states, stores = forward(call, tensors, training=True)
        ctx.call = call
        ctx.kept = tuple(stores)
        slots = [carried.slots for carried in states]
        ctx.save_for_backward(*tensors, *slots, *stores.values())
        return (output, *(carried.last.clone() for carried in states))

    @staticmethod
    def backward(ctx: Any, d_output: Tensor, *d_states: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients for everything; second derivatives go through PyTorch."""
        call: Call = ctx.call
        saved = ctx.saved_tensors
        count = len(saved) - len(d_states) - len(ctx.kept)
        tensors = saved[:count]
        if torch.is_grad_enabled():
            return (None, *_slow_gradients(call, tensors, (d_output, *d_states)))
        slots = saved[count : count + len(d_states)]
        kept = dict(zip(ctx.kept, saved[count + len(d_states) :], strict=True))
        return (None, *_gradients(call, tensors, slots, kept, d_output, d_states))


def _slow_gradients(
    call: Call, tensors: Sequence[Tensor], gradients: tuple[Tensor, ...]
) -> tuple[Tensor | None, ...]:
    results = call.slow(call, *tensors)
    wanted = [t for t in tensors if t.requires_grad]
    found = iter(
        torch.autograd.grad(results, wanted, gradients, create_graph=True, allow_unused=True)
    )
    return tuple(next(found) if t.requires_grad else None for t in tensors)


def _gradients(
    call: Call,
    tensors: Sequence[Tensor],
    slots: Sequence[Tensor],
    kept: dict[Expression, Tensor],
    d_output: Tensor,
    d_states: Sequence[Tensor],
) -> list[Tensor | None]:
    sources, constants, stacked, _ = call.divide(tensors)
    split, machine = call.compiled.split, call.compiled.gradients
    graph, back = split.graph, split.backward
    there = call.read(sources) | kept
    for state, update, history in zip(graph.states, graph.updates, slots, strict=True):
        there |= {update: history[1:], state: history[:-1]}
    values = {leaf: there[value] for value, leaf in back.values}
    states = [Carried.starting(d, call.steps, history=False) for d in d_states]
    matrices = call.matrices(stacked)
    room = _room(machine, call, d_output, _groups(call))
    run(
        machine,
        call.steps,
        call.rows,
        values | {back.d_output: d_output},
        dict(zip(split.forward.constants, constants, strict=True)),
        {node: _turned(node, matrices) for node in machine.program.matrices},
        states,
        room,
    )
    operands = values | room
    return [
        *_source_gradients(call, sources, room),
        *_constant_gradients(constants, back.constants, room),
        *_matrix_gradients(call, stacked, operands),
        *(carried.last for carried in states),
    ]


def _groups(call: Call) -> list[list[Expression]]:
    """The gradients that one product reads together: those of a stack of matrices."""
    split = call.compiled.split
    return [
        [gradient for gradient, _ in _of_stack(call, *stack).values() if gradient.args]
        for stack in split.stacks
    ]


def _of_stack(
    call: Call, operand: Expression, nodes: Sequence[Expression]
) -> dict[Expression, tuple[Expression, Expression]]:
    """For each matrix of a stack that gets one: (gradient of its product, value of the operand)."""
    products = call.compiled.split.backward.products
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
        mine: dict[int, Tensor | None] = {}
        members = 1
        for (which, position, count), d in zip(
            call.reads, call.compiled.split.backward.reads, strict=True
        ):
            if which == number:
                mine[position], members = None if d is None else room[d], count
        present = [part for part in mine.values() if part is not None]
        if not present:
            found.append(None)
            continue
        zero = torch.zeros_like(present[0]) if len(present) < members else present[0]
        parts = [mine.get(position) for position in range(members)]
        whole = _beside([zero if part is None else part for part in parts])
        found.append(whole.sum(0, keepdim=True) if source.shape[0] == 1 < call.steps else whole)
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
    for (operand, nodes), stack in zip(call.compiled.split.stacks, stacked, strict=True):
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

"""The fused recurrence on real tensors: forward, forward for training, backward."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.backends.cpu.batch import Batch, Fields, batch_of
from recurra.backends.cpu.compiled import Compiled, Machine, compiled
from recurra.backends.cpu.moving import moves_of, moving_gradient
from recurra.backends.cpu.operands import Operands, operands
from recurra.backends.cpu.run import Carried, run
from recurra.errors import UsageError
from recurra.graph import Expression

BITS = {torch.float32: 32, torch.float64: 64}


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a recurrence.

    Attributes:
        operands: which tensors it takes.
        compiled: its kernels.
        batch: steps and rows.
    """

    operands: Operands
    compiled: Compiled
    batch: Batch

    @classmethod
    def of(
        cls, text: str, steps: int, tensors: Sequence[Tensor], lengths: Tensor | None = None
    ) -> Call:
        """The call of a graph (as text) on tensors as `Operands` orders them."""
        taken = operands(text)
        formats = {tensor.dtype for tensor in tensors}
        if len(formats) > 1 or not formats <= BITS.keys():
            raise UsageError(
                f"a recurrence got {', '.join(sorted(map(str, formats)))}; give it tensors of one "
                "number format, float32 or float64."
            )
        sizes = tuple(sorted(taken.sizes(tensors).items()))
        last = tensors[-1]  # a state
        batch = batch_of(steps, last.shape[0], lengths)
        return cls(taken, compiled(taken.graph, sizes, BITS[last.dtype]), batch)


def inference(call: Call, tensors: Sequence[Tensor]) -> list[Tensor]:
    """(outputs, last states), keeping nothing: (T, B, size) and (B, size) each."""
    outputs, carried, _ = _forward(call, tensors, training=False)
    return [*outputs, *(one.last.clone() for one in carried)]


def training(call: Call, tensors: Sequence[Tensor]) -> list[Tensor]:
    """(outputs, last states, what `gradients` needs beside), no two of them in the same memory."""
    outputs, carried, kept = _forward(call, tensors, training=True)
    lasts = [one.last.clone() for one in carried]
    given_out = call.operands.output_states
    histories = [one.slots for k, one in enumerate(carried) if k not in given_out]
    return [*outputs, *lasts, *histories, *kept]


def _forward(
    call: Call, tensors: Sequence[Tensor], training: bool
) -> tuple[list[Tensor], list[Carried], list[Tensor]]:
    """Run forward: the outputs, each (T, B, size), the states, and in one tensor what is kept."""
    sources, constants, stacked, before = call.operands.divide(tensors)
    machine = call.compiled.training if training else call.compiled.inference
    of_outputs = call.operands.output_states
    states = [
        Carried.starting(state, call.batch, training or number in of_outputs)
        for number, state in enumerate(before)
    ]
    groups = [call.operands.kept] if training and call.operands.kept else []
    kept, stores = _room(machine, call, before[0], groups)
    sources = [_row_by_row(source) for source in sources]
    if call.batch.steps and call.batch.rows:
        run(
            machine,
            call.batch,
            _read_fields(call, sources),
            call.operands.constants(constants),
            call.operands.matrix_fields(stacked, machine.program.matrices),
            states,
            stores,
        )
    outputs = [
        stores[node] if number is None else call.batch.after(states[number].slots)
        for node, number in zip(call.operands.outputs, of_outputs, strict=True)
    ]
    return outputs, states, kept


def _read_fields(call: Call, sources: Sequence[Tensor]) -> dict[Expression, Fields]:
    """Where each read lies; the numbers of a row of its source stand side by side."""
    known = [call.batch.fields(source) for source in sources]
    found = {}
    reads = zip(call.operands.split.forward.reads, call.operands.reads, strict=True)
    for node, (number, position, members) in reads:
        source, (start, step, row, mask, first) = sources[number], known[number]
        width = source.shape[-1] // members * source.element_size()
        found[node] = (start + position * width, step, row, mask, first)
    return found


def _room(
    machine: Machine, call: Call, like: Tensor, groups: Sequence[Sequence[Expression]]
) -> tuple[list[Tensor], dict[Expression, Tensor]]:
    """Memory for the stores of a program: one tensor for each group, and the part of each store.

    Those of a group stand side by side, in rows without gaps; the others by themselves. What stands
    in an earlier group is left out of a later one.
    """
    rooms: list[Tensor] = []
    stores: dict[Expression, Tensor] = {}
    for number, group in enumerate([*groups, *([node] for node in machine.program.stores)]):
        new = [node for node in dict.fromkeys(group) if node not in stores]
        if new:
            sizes = [machine.kernel.size(node) for node in new]
            room = call.batch.sequence(like, sum(sizes))
            stores |= dict(zip(new, room.split(sizes, -1), strict=True))
            rooms += [room] if number < len(groups) else []
    return rooms, stores


def gradients(
    call: Call,
    tensors: Sequence[Tensor],
    outputs: Sequence[Tensor],
    kept: Sequence[Tensor],
    d_outputs: Sequence[Tensor],
    d_states: Sequence[Tensor],
) -> list[Tensor]:
    """The gradients of `tensors`, of those that have one (`Operands.differentiable`).

    Each has the shape of its tensor, rows without gaps, and memory of its own.
    """
    sources, constants, stacked, _ = call.operands.divide(tensors)
    back, machine = call.operands.split.backward, call.compiled.gradients
    there = _Values.of(call, tensors, outputs, kept)
    states = [Carried.starting(d, call.batch, False, backwards=True) for d in d_states]
    _, room = _room(machine, call, d_outputs[0], _groups(call))
    d_outputs = [_row_by_row(d) for d in d_outputs]
    if call.batch.steps and call.batch.rows:
        run(
            machine,
            call.batch,
            {leaf: there.fields(value) for value, leaf in back.values}
            | {
                leaf: call.batch.fields(d)
                for leaf, d in zip(back.d_outputs, d_outputs, strict=True)
            },
            call.operands.constants(constants),
            call.operands.matrix_fields(stacked, machine.program.matrices),
            states,
            room,
        )
    forward = {leaf: value for value, leaf in back.values}

    def sequence(node: Expression) -> Tensor:
        return room[node] if node in room else there.sequence(forward[node])

    found = [
        *_source_gradients(call, sources, room),
        *_constant_gradients(constants, back.constants, room),
        *_matrix_gradients(call, stacked, sequence),
        *(carried.last.clone() for carried in states),
    ]
    return _apart([d for d in found if d is not None])


@dataclass(frozen=True, eq=False)
class _Values:
    """What the forward direction has left for the backward one.

    Attributes:
        batch: steps and rows.
        sequences: what was stored.
        reads: where what was read lies.
        read: what was read, by itself.
        histories: for each state its values before the first step and after each.
        states: for each value before or after a step, its state.
    """

    batch: Batch
    sequences: dict[Expression, Tensor]
    reads: dict[Expression, Fields]
    read: Callable[[Expression], Tensor]
    histories: dict[Expression, Tensor]
    states: dict[Expression, Expression]

    @classmethod
    def of(
        cls,
        call: Call,
        tensors: Sequence[Tensor],
        outputs: Sequence[Tensor],
        kept: Sequence[Tensor],
    ) -> _Values:
        sources, _, _, before = call.operands.divide(tensors)
        graph, rest = call.operands.split.graph, iter(kept)
        histories = {}
        for number, state in enumerate(graph.states):
            mine = call.operands.of_state(number)
            slots = next(rest) if mine is None else _history(before[number], outputs[mine])
            histories[state] = call.batch.as_history(slots)
        stored = dict(zip(call.operands.outputs, outputs, strict=True))
        sizes = [call.compiled.training.kernel.size(node) for node in call.operands.kept]
        stored |= (
            {}
            if not sizes
            else dict(zip(call.operands.kept, next(rest).split(sizes, -1), strict=True))
        )
        sources = [_row_by_row(source) for source in sources]
        states = dict(zip(reversed(graph.updates), reversed(graph.states), strict=True))
        return cls(
            call.batch,
            {node: _row_by_row(sequence) for node, sequence in stored.items()},
            _read_fields(call, sources),
            lambda node: call.operands.read(sources)[node],
            histories,
            states | {state: state for state in graph.states},
        )

    def fields(self, value: Expression) -> Fields:
        """Where a kernel finds a value."""
        if value in self.reads:
            return self.reads[value]
        if value not in self.states:
            return self.batch.fields(self.sequences[value])
        state = self.states[value]
        return self.batch.value_fields(self.histories[state], after=value is not state)

    def sequence(self, value: Expression) -> Tensor:
        """A value by itself."""
        if value in self.reads:
            return self.read(value)
        if value not in self.states:
            return self.sequences[value]
        state = self.states[value]
        side = self.batch.before if value is state else self.batch.after
        return side(self.histories[state])


def _row_by_row(tensor: Tensor) -> Tensor:
    """The tensor, copied if the numbers of a row do not stand side by side."""
    return tensor.contiguous() if tensor.shape[-1] > 1 and tensor.stride(-1) != 1 else tensor


def _history(before: Tensor, after: Tensor) -> Tensor:
    """A state before the first step and after each, one row after another.

    `training` wrote them so; a copy is made if they stand so no more.
    """
    rows, size = before.shape
    start = after.storage_offset() - before.numel()
    if start >= 0 and after.is_contiguous():
        count = rows + after.numel() // max(size, 1)
        whole = after.as_strided((count, size), (size, 1), start)
        if torch.equal(whole[:rows], before):
            return whole
    return torch.cat([before, after.reshape(-1, size)])


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


def _source_gradients(
    call: Call, sources: Sequence[Tensor], room: dict[Expression, Tensor]
) -> list[Tensor | None]:
    found: list[Tensor | None] = []
    for number, source in enumerate(sources):
        mine: dict[int, Tensor | None] = {}
        members = 1
        for (which, position, count), d in zip(
            call.operands.reads, call.operands.split.backward.reads, strict=True
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
        same = [k for k in (0, 1) if source.shape[k] == 1 != whole.shape[k]]  # in all steps, rows
        found.append(whole.sum(same, keepdim=True) if same else whole)
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
    call: Call, stacked: Sequence[Tensor], values: Callable[[Expression], Tensor]
) -> list[Tensor | None]:
    """For each stack of matrices, one product over all rows and the steps that count."""
    known = call.operands.split.backward.clocks
    found: list[Tensor | None] = []
    for (operand, nodes), stack in zip(call.operands.split.stacks, stacked, strict=True):
        products = _of_stack(call, operand, nodes)
        if not products:
            found.append(None)
            continue
        gradient, value = next(iter(products.values()))
        zero = torch.zeros_like(values(gradient)) if len(products) < len(nodes) else None
        parts = [values(products[m][0]) if m in products else zero for m in nodes]
        left = _beside([part for part in parts if part is not None])
        clocks = [known.get(products[m][0]) if m in products else None for m in nodes]
        marks = [None if clock is None else (clock, values(clock.mark)) for clock in clocks]
        moves = moves_of(marks, values(gradient).shape[-1])
        found.append(moving_gradient(left, values(value), moves).view_as(stack))
    return found

"""Gradients that PyTorch puts together after a kernel, and where a kernel finds forward values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from recurra.backends.cpu.backward import Product
from recurra.backends.cpu.batch import Layout
from recurra.backends.cpu.clocks import Clock
from recurra.backends.cpu.moving import moves_of, moving_gradient
from recurra.backends.cpu.plans import Call
from recurra.backends.cpu.product import multiply, weight_gradient
from recurra.backends.cpu.sheet import GIVEN, Sheet, Span
from recurra.graph import Expression


class Values:
    """What the forward direction has left for the backward one.

    Attributes:
        d_outputs, d_states: the gradients that come in.
    """

    def __init__(self, call: Call) -> None:
        self.call, taken = call, call.operands
        graph = taken.split.graph
        self._leaves = {leaf: value for value, leaf in taken.split.backward.values}
        rest = iter(call.divided()[3][len(graph.states) :])
        self._histories = {state: next(rest) for state in graph.states}
        others = zip(taken.outputs, taken.output_states, strict=True)
        self._stored = {node: next(rest) for node, state in others if state is None}
        for _, nodes in taken.kept_together:
            sizes = [call.compiled.size(node) for node in nodes]
            self._stored |= zip(nodes, next(rest).split(sizes), strict=True)
        self._reads = call.reads({number: next(rest) for number in taken.kept_sources})
        self.d_outputs = [next(rest) for _ in taken.outputs]
        self.d_states = [next(rest) for _ in graph.states]
        self._states = dict(zip(graph.updates, graph.states, strict=True))
        self._states |= {state: state for state in graph.states}

    def read(self, value: Expression) -> tuple[Span, Layout]:
        """Where a kernel finds a forward value."""
        if value in self._reads:
            return self._reads[value]
        if value not in self._states:
            return self._stored[value], self.call.batch.layout(self._stored[value])
        state = self._states[value]
        return self.call.batch.value(self._histories[state], after=value is not state)

    def operand(self, sheet: Sheet, leaf: Expression, rooms: Mapping[Expression, Span]) -> Span:
        """Where a value of the backward program lies, to be multiplied."""
        if leaf in rooms:
            return rooms[leaf]
        value = self._leaves[leaf]
        if value in self._reads:
            return self._reads[value][0]
        if value not in self._states:
            return self._stored[value]
        state = self._states[value]
        return self.call.batch.operand(sheet, self._histories[state], after=value is not state)

    def tensor(self, leaf: Expression, given: Sequence[Tensor]) -> Tensor:
        """A value of the backward program as a sequence."""
        value = self._leaves[leaf]
        if value in self._reads:
            return tensor_at(self._reads[value][0], given)
        if value not in self._states:
            return tensor_at(self._stored[value], given)
        state = self._states[value]
        side = self.call.batch.before if value is state else self.call.batch.after
        return side(tensor_at(self._histories[state], given))

    def of_stack(
        self, operand: Expression, nodes: Sequence[Expression]
    ) -> dict[Expression, Product]:
        """For each matrix of a stack that gets a gradient, its product."""
        found = {
            product.matrix: product
            for product in self.call.operands.split.backward.products
            if product.operand is operand and product.matrix in nodes
        }
        return {node: found[node] for node in nodes if node in found}

    def of_source(self, number: int) -> list[tuple[int, Expression]]:
        """(position, gradient) of each member of a source that gets one."""
        taken = self.call.operands
        reads = zip(taken.reads, taken.split.backward.reads, strict=True)
        return sorted(
            (
                (position, d)
                for (which, position, _), d in reads
                if which == number and d is not None
            ),
            key=lambda pair: pair[0],
        )

    def members(self, number: int) -> int:
        """How many values stand side by side in a source."""
        return next(count for which, _, count in self.call.operands.reads if which == number)


def tensor_at(span: Span, tensors: Sequence[Tensor]) -> Tensor:
    """What lies in a span of tensors, the first of which is the base `GIVEN`."""
    whole = tensors[span.base - GIVEN]
    return whole.as_strided(span.shape, span.strides, whole.storage_offset() + span.start)


class Later:
    """The gradients that kernels do not write by themselves.

    Args:
        call: what runs.
        values: that the forward direction left.
        rooms: where a kernel stores gradients of a step.
        numbers: of the tensors whose gradients these are.
    """

    def __init__(
        self, call: Call, values: Values, rooms: Mapping[Expression, Span], numbers: Sequence[int]
    ) -> None:
        self.call, self.values, self.rooms, self.numbers = call, values, rooms, numbers

    def added(
        self, found: dict[int, Tensor], given: Sequence[Tensor], made: Sequence[Tensor]
    ) -> dict[int, Tensor]:
        """All gradients, each in memory of its own."""
        taken, tensors = self.call.operands, [*given, *made]
        new: dict[int, Tensor] = {}
        for number, source in enumerate(taken.sources):
            if mine := [n for n in source.numbers if n in self.numbers]:
                d = self._of_source(number, tensors)
                new |= (
                    _of_product(d, tensors, source.numbers, mine)
                    if source.is_product
                    else {mine[0]: d}
                )
        for number, stack in enumerate(taken.split.stacks, taken.matrices_from):
            if number in self.numbers:
                new[number] = self._of_stack(*stack, tensors).view(given[number].shape)
        return _apart(found | new)

    def _of_source(self, number: int, tensors: Sequence[Tensor]) -> Tensor:
        """The gradient of a source, all its members side by side."""
        known = {k: tensor_at(self.rooms[d], tensors) for k, d in self.values.of_source(number)}
        members = self.values.members(number)
        first = next(iter(known.values()))
        zero = torch.zeros_like(first) if len(known) < members else first
        whole = _beside([known.get(k, zero) for k in range(members)])
        extent = self.call.spans[self.call.operands.sources[number].first].shape
        same = [k for k in (0, 1) if extent[k] == 1 != whole.shape[k]]  # in all steps, rows
        return whole.sum(same, keepdim=True) if same else whole

    def _of_stack(
        self, operand: Expression, nodes: Sequence[Expression], tensors: Sequence[Tensor]
    ) -> Tensor:
        """One product over all rows and the steps that count."""
        products, clocks = self.values.of_stack(operand, nodes), self._clocks
        product = next(iter(products.values()))
        like = self._value(product.gradient, tensors)
        zero = torch.zeros_like(like) if len(products) < len(nodes) else like
        left = _beside(
            [
                self._value(products[node].gradient, tensors) if node in products else zero
                for node in nodes
            ]
        )
        known = [clocks.get(products[n].gradient) if n in products else None for n in nodes]
        marks = [None if one is None else (one, self._value(one.mark, tensors)) for one in known]
        moves = moves_of(marks, like.shape[-1])
        return moving_gradient(left, self._value(product.value, tensors), moves)

    @property
    def _clocks(self) -> Mapping[Expression, Clock]:
        return self.call.operands.split.backward.clocks

    def _value(self, node: Expression, tensors: Sequence[Tensor]) -> Tensor:
        if node in self.rooms:
            return tensor_at(self.rooms[node], tensors)
        return self.values.tensor(node, tensors)


def _of_product(
    d: Tensor, tensors: Sequence[Tensor], numbers: range, wanted: Sequence[int]
) -> dict[int, Tensor]:
    """Those gradients that are wanted of a sequence, the weights that it met, and their bias."""
    x, weight, *bias = (tensors[number] for number in numbers)
    flat, rows = d.flatten(0, 1), x.flatten(0, 1)
    found = {}
    if numbers[0] in wanted:
        found[numbers[0]] = multiply(flat.contiguous(), weight).view(x.shape)
    if numbers[1] in wanted:
        found[numbers[1]] = weight_gradient(flat, rows)
    if bias and numbers[2] in wanted:
        found[numbers[2]] = flat.sum(0)
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


def _apart(tensors: dict[int, Tensor]) -> dict[int, Tensor]:
    """The tensors without gaps, no two of them in the same memory."""
    found, seen = {}, set()
    for number, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[number] = tensor.clone() if place in seen else tensor.contiguous()
        seen.add(place)
    return found

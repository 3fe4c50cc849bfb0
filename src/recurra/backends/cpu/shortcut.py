"""Straight from the weights of a layer to the kernels, for calls of one form.

What a call asks again each time (which weights stand where, which plan fits) is asked once here:
after a kernel of some milliseconds Python finds its own memory gone from the caches, and whatever
it does takes several times as long as elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from recurra.backends.backend import Given, Shortcut
from recurra.backends.cpu.forward_plan import inference_plan, training_plan
from recurra.backends.cpu.operands import operands
from recurra.backends.cpu.operators import Recurrence, Way, recurrence
from recurra.backends.cpu.plans import Key, Plan, forms_of
from recurra.backends.cpu.row_blocks import Block, Member, RowBlocks
from recurra.backends.observed import PLAIN, holds_values, observed
from recurra.backends.plan import GIVEN, WEIGHTS, Instruction, Program, Read
from recurra.backends.reference import execute
from recurra.backends.weights import Taken, Weights


class CpuShortcut(Shortcut):
    """See `Shortcut`.

    Args:
        text: the graph, without anything that is shown.
        weights: of a place.
        given: a sequence x without gaps, and states without gaps.
    """

    def __init__(self, text: str, weights: Weights, given: Given) -> None:
        self._steps, self._rows = given.steps, given.rows
        self._taken, self._members = operands(text), [members for members, _ in weights.stacks]
        stored, states = [tensor for _, tensor in weights.stacks], given.states
        self._forms = forms_of(stored)
        self._computed, self._program = self._divide()
        inputs = self._inputs(given.sequences["x"], stored, states)
        self._blocks = self._row_blocks([tensor.shape[:1].numel() for tensor in inputs])
        tensors = self._blocks.tensors(inputs)
        self._key = Key(text, self._steps, None, forms_of(tensors), torch.get_num_threads())
        self.is_good = all(t.dtype is states[0].dtype and t.is_contiguous() for t in tensors)

    @property
    def _before_the_loop(self) -> Program:
        return [*self._taken.split.front.constant, *self._taken.front]

    @property
    def _made_by(self) -> dict[int, Instruction]:
        """For each slot the instruction that fills it."""
        return {slot: one for one in self._before_the_loop for slot in _targets(one)}

    def _divide(self) -> tuple[list[int], Program]:
        """Slots of what no rows of stored weights are, and what computes them in each call."""
        program, made_by = self._before_the_loop, self._made_by
        linear = (Taken, Read)
        computed = [k for k in self._taken.taken if not isinstance(made_by[k][0], linear)]
        needed: list[Instruction] = []
        stack = list(computed)
        while stack:
            one = made_by.get(stack.pop())
            if one is not None and one not in needed:
                needed.append(one)
                stack += one[1]
        return computed, [one for one in program if one in needed]

    def _row_blocks(self, sizes: list[int]) -> RowBlocks:
        """How the tensors of the recurrence follow from x, stored weights, the rest, states."""
        made_by, count = self._made_by, len(self._members)
        whole = [(Block(number, 0, size),) for number, size in enumerate(sizes)]
        tensors: list[list[Member]] = []
        for slot in self._taken.taken:
            function = made_by[slot][0]
            if isinstance(function, Taken):
                tensors.append([self._member(name, sizes) for name in function.names])
            elif isinstance(function, Read):
                tensors.append([whole[0]])
            else:
                tensors.append([whole[1 + count + self._computed.index(slot)]])
        states = len(self._taken.split.graph.states)
        return RowBlocks(sizes, [*tensors, *([one] for one in whole[-states:])])

    def _member(self, name: str, sizes: list[int]) -> Member:
        """Where the parts of a weight are stored."""
        found = []
        for number, members in enumerate(self._members, 1):
            rows = sizes[number] // len(members)
            found += [Block(number, k * rows, rows) for k, one in enumerate(members) if one == name]
        return tuple(found)

    def fits(self, stored: Sequence[Tensor | None]) -> bool:
        """See `Shortcut.fits`."""
        for tensor, (dtype, shape, strides) in zip(stored, self._forms, strict=True):
            if (
                tensor is None
                or type(tensor) not in PLAIN
                or not tensor.is_cpu
                or tensor.shape != shape
                or tensor.stride() != strides
                or tensor.dtype is not dtype
                or not holds_values(tensor)
            ):
                return False
        return True

    def run(
        self, x: Tensor, stored: Sequence[Tensor], states: Sequence[Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `Shortcut.run`."""
        inputs = self._inputs(x, stored, states)
        if torch.is_grad_enabled():
            for tensor in inputs:
                if tensor.requires_grad:
                    output, *after = Recurrence.apply(self._way, *inputs)
                    return output, tuple([part.unsqueeze(0) for part in after])
        tensors = self._blocks.tensors(inputs)
        if observed():
            output, *after = recurrence(tensors, self._key.text, self._steps)
            return output, tuple([part.unsqueeze(0) for part in after])
        output, *after = self._inference.run(tensors, self._shapes)
        return output, tuple(after)

    def _inputs(
        self, x: Tensor, stored: Sequence[Tensor], states: Sequence[Tensor]
    ) -> list[Tensor]:
        """What the tensors of the recurrence are put together from."""
        if not self._program:
            return [x, *stored, *states]
        values: list[Any] = [None] * self._taken.split.front.slots
        values[WEIGHTS] = Weights([*zip(self._members, stored, strict=True)], {})
        values[GIVEN] = Given(self._steps, self._rows, {"x": x}, {}, tuple(states))
        execute(self._program, values)
        return [x, *stored, *[values[slot] for slot in self._computed], *states]

    @cached_property
    def _inference(self) -> Plan:
        return inference_plan(self._key)

    @cached_property
    def _shapes(self) -> list[tuple[int, ...]]:
        """Of the output, and of the last states as a part of those of all layers."""
        output, *after = self._inference.call.made.shapes
        return [output, *[(1, *shape) for shape in after]]

    @cached_property
    def _way(self) -> Way:
        key = self._key
        return Way(key.text, key.steps, None, training_plan(key), self._blocks)


def _targets(instruction: Instruction) -> tuple[int, ...]:
    """Where the results of an instruction go."""
    target = instruction[2]
    return (target,) if isinstance(target, int) else target

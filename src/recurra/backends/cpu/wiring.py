"""How the tensors of a recurrence follow from x, the weights that a layer stores, and states."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.cpu.operands import Operands
from recurra.backends.cpu.row_blocks import Block, Member, RowBlocks
from recurra.backends.plan import GIVEN, WEIGHTS, Instruction, Program, Read
from recurra.backends.reference import execute
from recurra.backends.weights import Taken, Weights


class Wiring:
    """See above.

    Args:
        taken: what the recurrence takes.
        weights: of a place.
        given: a call of the form that is wired: x without gaps, and states without gaps.

    Attributes:
        members: the names in each stored stack.
        blocks: makes the tensors from the `inputs`. Neither holds any tensor.
    """

    def __init__(self, taken: Operands, weights: Weights, given: Given) -> None:
        self._taken, self.members = taken, [members for members, _ in weights.stacks]
        self._computed, self._program = self._divide()
        stored = [tensor for _, tensor in weights.stacks]
        inputs = self.inputs(given.sequences["x"], stored, given.states)
        self.blocks = self._row_blocks([tensor.shape[:1].numel() for tensor in inputs])

    @property
    def _before_the_loop(self) -> Program:
        return [*self._taken.split.front.constant, *self._taken.front]

    @cached_property
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
        made_by, count = self._made_by, len(self.members)
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
        for number, members in enumerate(self.members, 1):
            rows = sizes[number] // len(members)
            found += [Block(number, k * rows, rows) for k, one in enumerate(members) if one == name]
        return tuple(found)

    def inputs(self, x: Tensor, stored: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
        """What the tensors of the recurrence are put together from."""
        if not self._program:
            return [x, *stored, *states]
        values: list[Any] = [None] * self._taken.split.front.slots
        values[WEIGHTS] = Weights([*zip(self.members, stored, strict=True)], {})
        values[GIVEN] = Given(x.shape[0], x.shape[1], {"x": x}, {}, tuple(states))
        execute(self._program, values)
        return [x, *stored, *[values[slot] for slot in self._computed], *states]


def _targets(instruction: Instruction) -> tuple[int, ...]:
    """Where the results of an instruction go."""
    target = instruction[2]
    return (target,) if isinstance(target, int) else target

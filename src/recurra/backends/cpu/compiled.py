"""Kernels of a graph for given sizes, compiled when they are first needed and kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from math import prod

from recurra.backends.cpu.backward import Backward, backward
from recurra.backends.cpu.kernel import Kernel
from recurra.backends.cpu.product import linear
from recurra.backends.cpu.program import StepProgram, forward_program, normal
from recurra.backends.cpu.schedule import Schedule
from recurra.backends.cpu.shared import code_of
from recurra.backends.cpu.target import Code, host
from recurra.backends.plan import Plan
from recurra.graph import Expression, Graph


class Machine:
    """One step program as a kernel, compiled when its code is first needed.

    Args:
        program: what is computed.
        sizes: the number behind each size letter.
        bits: 32 or 64.
        backwards: from the last step to the first.
    """

    def __init__(
        self, program: StepProgram, sizes: Mapping[str, int], bits: int, backwards: bool
    ) -> None:
        target = host()
        self.program = program
        self.kernel = Kernel(program, sizes, target.form(bits), target.accumulators, backwards)
        self.text = str(self.kernel.module)
        self._target = target
        self._lock = threading.Lock()
        self._made: Code | None = None

    @property
    def _code(self) -> Code:
        with self._lock:
            if self._made is None:
                calls = self.kernel.calls.items()
                called = {name: code_of(one, self._target) for name, one in calls}
                self._made = Code(self.text, self._target, called)
            return self._made

    @cached_property
    def share(self) -> int:
        """Address of the function `share` of `Kernel`."""
        return self._code.address("share")

    @cached_property
    def pack(self) -> int:
        """Address of the function `pack` of `Kernel`."""
        return self._code.address("pack")


class Compiled:
    """All kernels of a graph for some sizes and a number format."""

    def __init__(self, graph: Graph, sizes: tuple[tuple[str, int], ...], bits: int) -> None:
        self.split = split(graph)
        self._sizes, self._bits = dict(sizes), bits

    def size(self, node: Expression) -> int:
        """Numbers of a row of a value of the step."""
        return prod(self._sizes[letter] for letter in self.split.graph.shapes[node])

    def _machine(self, program: StepProgram, backwards: bool = False) -> Machine:
        return Machine(program, self._sizes, self._bits, backwards)

    @cached_property
    def inference(self) -> Machine:
        """Forward, keeping nothing."""
        return self._machine(self.split.forward)

    @cached_property
    def training(self) -> Machine:
        """Forward, keeping what the backward direction reads."""
        return self._machine(self.split.training)

    @cached_property
    def gradients(self) -> Machine:
        """Backward."""
        return self._machine(self.split.backward.program, backwards=True)


class Split:
    """A graph cut in what runs before the loop and what runs in it.

    Attributes:
        graph: in the form that kernels compute.
        front: instructions before the loop; products among them may run in kernels, see `Operands`.
        forward: the step program.
        reads: for each read of the step, (slot of the front, position in it, members of it).
        constants: slots of the constants of the step.
        stacks: for each operand and shape, the matrices multiplied with it, stacked in this order.
        matrices: slots of the stacks.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = normal(graph)
        self.forward = forward_program(self.graph)
        self.front = Plan(self.graph, linear)
        self.reads = [self.front.given_to_step(read) for read in self.forward.reads]
        self.constants = [self.front.given_to_step(c)[0] for c in self.forward.constants]
        self.stacks = self._stacks()
        self.matrices = [self.front.stacked(stack) for _, stack in self.stacks]

    @cached_property
    def backward(self) -> Backward:
        """The backward direction."""
        return backward(self.graph, self.forward)

    @cached_property
    def training(self) -> StepProgram:
        """The forward direction, keeping what the backward one reads."""
        kept = self._kept
        stores = (*self.forward.stores, *kept)
        reads = tuple(read for slot in self.in_place for read in self._members[slot])
        return replace(self.forward, stores=stores, kept=frozenset(kept), overwritten=reads)

    @cached_property
    def in_place(self) -> dict[int, tuple[Expression, ...]]:
        """For slots of the front whose members nobody reads twice, what is kept in their places.

        Only in a step of one phase: a later one might read what is gone.
        """
        if len(Schedule(self.forward).phases) > 1:
            return {}
        needed = {value for value, _ in self.backward.values}
        kept, found = self._kept, {}
        for slot, members in self._members.items():
            shapes = {self.graph.shapes[node] for node in members}
            same = [node for node in kept if {self.graph.shapes[node]} == shapes]
            if len(same) >= len(members) and not needed.intersection(members):
                found[slot] = tuple(same[: len(members)])
                kept = [node for node in kept if node not in found[slot]]
        return found

    @property
    def _kept(self) -> list[Expression]:
        """What the forward direction stores for the backward one alone."""
        return [node for node in self.backward.kept if node not in self.forward.stores]

    @property
    def _members(self) -> dict[int, list[Expression]]:
        """For slots all of whose members the step reads, these in their order."""
        found: dict[int, dict[int, Expression]] = {}
        counts = {}
        for read, (slot, position, count) in zip(self.forward.reads, self.reads, strict=True):
            found.setdefault(slot, {})[position] = read
            counts[slot] = count
        return {
            slot: [own[position] for position in sorted(own)]
            for slot, own in found.items()
            if len(own) == counts[slot]
        }

    def _stacks(self) -> list[tuple[Expression, tuple[Expression, ...]]]:
        order = {parameter: k for k, parameter in enumerate(self.graph.parameters)}
        by_operand: dict[tuple[Expression, tuple[str, ...]], dict[Expression, None]] = {}
        for node in self.forward.nodes:
            if node.op == "matmul" and node.args[0] in self.forward.matrices:
                matrix, operand = node.args
                key = (operand, self.graph.shapes[matrix])
                by_operand.setdefault(key, {})[matrix] = None
        return [
            (operand, tuple(sorted(group, key=lambda m: order.get(m, len(order)))))
            for (operand, _), group in by_operand.items()
        ]


@lru_cache(maxsize=256)
def split(graph: Graph) -> Split:
    """See `Split`."""
    return Split(graph)


@lru_cache(maxsize=256)
def compiled(graph: Graph, sizes: tuple[tuple[str, int], ...], bits: int) -> Compiled:
    """See `Compiled`."""
    return Compiled(graph, sizes, bits)

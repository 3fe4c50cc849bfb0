"""Kernels of a graph for given sizes, compiled when they are first needed and kept in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache

from recurra.backends.cpu.backward import Backward, backward
from recurra.backends.cpu.kernel import Kernel
from recurra.backends.cpu.product import linear
from recurra.backends.cpu.program import StepProgram, forward_program, normal
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
        self._target, self._bits = target, bits
        self._work: dict[int, list[int]] = {}  # of the batch that was met last

    def work(self, rows: int) -> Sequence[int]:
        """Bytes of memory that a call needs beside: for each scratch value, each packed matrix."""
        if rows not in self._work:
            kernel, number = self.kernel, self._bits // 8
            scratch = [rows * kernel.size(node) * number for node in kernel.scratch]
            self._work = {rows: [*scratch, *(count * number for _, count in kernel.memory)]}
        return self._work[rows]

    @cached_property
    def _code(self) -> Code:
        return Code(self.text, self._target)

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

    def _machine(self, program: StepProgram, backwards: bool = False) -> Machine:
        return Machine(program, self._sizes, self._bits, backwards)

    @cached_property
    def inference(self) -> Machine:
        """Forward, keeping nothing."""
        return self._machine(self.split.forward)

    @cached_property
    def training(self) -> Machine:
        """Forward, keeping what the backward direction reads."""
        forward = self.split.forward
        kept = [node for node in self.split.backward.kept if node not in forward.stores]
        stores = (*forward.stores, *kept)
        return self._machine(replace(forward, stores=stores, kept=frozenset(kept)))

    @cached_property
    def gradients(self) -> Machine:
        """Backward."""
        return self._machine(self.split.backward.program, backwards=True)


class Split:
    """A graph cut in what runs before the loop, in PyTorch, and what the kernels run.

    Attributes:
        graph: in the form that kernels compute.
        front: instructions before the loop.
        forward: the step program.
        stacks: for each operand and shape, the matrices multiplied with it, stacked in this order.
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

    def _stacks(self) -> list[tuple[Expression, tuple[Expression, ...]]]:
        order = {parameter: k for k, parameter in enumerate(self.graph.parameters)}
        by_operand: dict[tuple[Expression, tuple[str, ...]], dict[Expression, None]] = {}
        for node in self.forward.nodes:
            if node.op == "matmul":
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

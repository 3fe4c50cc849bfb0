"""The order of a step: phases that wait for one another, and what each leaves in memory.

A product or a reduction needs every unit of its operand, so a phase ends where one is read. Inside
a phase everything stays in registers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from recurra.backends.cpu.backward import CHEAP
from recurra.backends.cpu.program import StepProgram
from recurra.graph import Expression


@dataclass(frozen=True, eq=False)
class Accumulation:
    """A sum of products that stays in the same registers.

    Attributes:
        root: the node whose value it is, before `start` is added.
        products: the products, in the order of their operands.
        start: what else enters the sum, or None.
    """

    root: Expression
    products: tuple[Expression, ...]
    start: Expression | None


@dataclass(eq=False)
class Phase:
    """One part of a step.

    Attributes:
        apart: computed first, from memory to memory; see `StepProgram.apart`.
        accumulations: computed with the values that read them.
        results: what the phase writes to memory.
    """

    apart: list[Expression] = field(default_factory=list)
    accumulations: list[Accumulation] = field(default_factory=list)
    results: dict[Expression, None] = field(default_factory=dict)


class Schedule:
    """The phases of a step program.

    Attributes:
        ready: for each node the phase in which it can be computed.
        phases: in order.
        scratch: values that only the kernel itself reads again, in memory of its own.
        sums: for each root, its accumulation.
    """

    def __init__(self, program: StepProgram) -> None:
        self.program = program
        self.leaves = program.leaves
        self.nodes = program.nodes
        self._readers = Counter(arg for node in self.nodes for arg in node.args)
        self._lasting = dict.fromkeys((*program.updates, *program.stores))
        self.sums: dict[Expression, Accumulation] = {}
        mirrored = (node for node in self.nodes if node.op == "transpose")
        self._inside = {node for node in mirrored if node not in program.apart}
        self._find_sums()
        self.ready: dict[Expression, int] = {}
        for node in self.nodes:
            if node not in self._inside:
                self.ready[node] = self._when(node)
        self.phases = [Phase() for _ in range(max(self.ready.values(), default=0) + 1)]
        self._fill()
        self.scratch = [
            node
            for phase in self.phases
            for node in (*phase.apart, *phase.results)
            if node not in self._lasting
        ]

    def _find_sums(self) -> None:
        for node in reversed(self.nodes):
            if node in self._inside:
                continue
            if node.op == "add" and self._free_product(node.args[1]):
                self._add_chain(node)
            elif self._accumulates(node):
                self.sums[node] = Accumulation(node, (node,), None)

    def _add_chain(self, root: Expression) -> None:
        products, node = [root.args[1]], root
        start: Expression | None = root.args[0]
        while start is not None and self._free(start):
            if self._accumulates(start):
                products.append(start)
                start = None
            elif start.op == "add" and self._free_product(start.args[1]):
                self._inside.add(start)
                node = start
                products.append(node.args[1])
                start = node.args[0]
            else:
                break
        self._inside.update(products)
        self.sums[root] = Accumulation(root, tuple(reversed(products)), start)

    def _free(self, node: Expression) -> bool:
        return self._readers[node] == 1 and node not in self._lasting and node not in self.leaves

    def _free_product(self, node: Expression) -> bool:
        return self._accumulates(node) and self._free(node)

    def _accumulates(self, node: Expression) -> bool:
        """Whether a node is a product that meets the equations in registers."""
        return node.op == "matmul" and node not in self.program.apart

    def _when(self, node: Expression) -> int:
        if node in self.sums:
            own = self.sums[node]
            waits = [self._after(product.args[1]) for product in own.products]
            return max([*waits, 0 if own.start is None else self._at(own.start)])
        if node in self.program.apart:
            return max(map(self._after, self.program.whole(node)))
        waits = [self._after(arg) for arg in self.program.whole(node)]
        return max(map(self._at, node.args), default=0) if not waits else self._late(node, waits)

    def _late(self, node: Expression, waits: list[int]) -> int:
        whole = self.program.whole(node)
        return max([*waits, *(self._at(arg) for arg in node.args if arg not in whole)])

    def _at(self, node: Expression) -> int:
        return self.ready.get(node, 0)

    def _after(self, operand: Expression) -> int:
        """The first phase in which all units of an operand are in memory."""
        if operand not in self.ready:
            return 0
        return self.ready[operand] + (0 if self._is_product(operand) else 1)

    def _is_product(self, node: Expression) -> bool:
        """Whether a phase begins with a product of a matrix of a row: what follows may read it."""
        return node in self.program.apart and node.op == "matmul"

    def _fill(self) -> None:
        for own in self.sums.values():
            self.phases[self.ready[own.root]].accumulations.append(own)
        apart = self.program.apart
        for node in self._lasting:
            if node not in apart:
                self.phases[self._at(node)].results[node] = None
        for node in self.nodes:
            if node not in self.ready and node.op != "matmul":
                continue
            if node in apart:
                self.phases[self.ready[node]].apart.append(node)
            for operand in self.program.whole(node):
                if operand in self.ready and operand not in apart:
                    self.phases[self.ready[operand]].results[operand] = None
        for number in reversed(range(len(self.phases))):
            for node in self._missing(number):
                self.phases[self.ready[node]].results[node] = None

    def _missing(self, number: int) -> Iterator[Expression]:
        """What a phase needs of earlier ones and cannot cheaply compute again."""
        stack = list(self.phases[number].results)
        seen: set[Expression] = set()
        while stack:
            node = stack.pop()
            if node in seen or node not in self.ready or node in self.program.apart:
                continue
            seen.add(node)
            if self.ready[node] < number and not self.again(node):
                yield node
            elif node in self.sums:
                start = self.sums[node].start
                stack += [start] if start is not None else []
            else:
                stack += node.args

    def in_memory(self, node: Expression) -> bool:
        """Whether a phase leaves this node in memory."""
        return node in self.phases[self.ready[node]].results

    def again(self, node: Expression) -> bool:
        """Whether a later phase computes this node again rather than read it."""
        cheap = node.op in CHEAP or node.op == "outer"
        return cheap and node not in self.sums and not self.in_memory(node)

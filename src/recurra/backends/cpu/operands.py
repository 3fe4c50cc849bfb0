"""The tensors that a recurrence takes: which values of the graph they hold, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache

from torch import Tensor

from recurra.backends.cpu.compiled import split
from recurra.backends.cpu.program import given_out
from recurra.backends.cpu.run import MatrixFields
from recurra.graph import Expression, Graph
from recurra.graph.serial import dumps, loads

Sizes = tuple[tuple[str, int], ...]


class Operands:
    """The tensors of a recurrence: sources of its reads, constants, stacked matrices, states.

    Attributes:
        graph: the step; what runs before the loop is a part of it, and left out here.
        split: the graph, cut.
        slots: slots of the front in which the distinct sources stand.
        reads: for each read, (source, position in it, members of it).
        outputs: what the loop gives out, the output first.
        output_states: for each of them the number of the state whose value after the step it is; or
            None.
        shown: for each value of `graph.shown` ("loop", number of an output, 0, 1), or ("front",
            slot, position in it, members of it).
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.split = split(graph)
        normal = self.split.graph
        self.slots = list(dict.fromkeys(slot for slot, _, _ in self.split.reads))
        self.reads = [
            (self.slots.index(slot), position, count) for slot, position, count in self.split.reads
        ]
        self.outputs = given_out(normal)
        numbers = {update: k for k, update in reversed([*enumerate(normal.updates)])}
        self.output_states = tuple(numbers.get(node) for node in self.outputs)
        self.shown = [self._source(node) for node in normal.outputs[1:]]

    def of_state(self, number: int) -> int | None:
        """The output that is a state's value after the step; None if there is none."""
        return self.output_states.index(number) if number in self.output_states else None

    @property
    def taken(self) -> list[int]:
        """Slots of the front, in the order of the tensors; the states follow."""
        return [*self.slots, *self.split.constants, *self.split.matrices]

    @cached_property
    def kept(self) -> tuple[Expression, ...]:
        """Values that the forward direction stores for the backward one, beside its output."""
        stores = (*self.split.forward.stores, *self.split.backward.kept)
        return tuple(node for node in dict.fromkeys(stores) if node not in self.outputs)

    @cached_property
    def differentiable(self) -> tuple[bool, ...]:
        """For each tensor whether a gradient reaches it."""
        back = self.split.backward
        reached = {
            source
            for (source, _, _), d in zip(self.reads, back.reads, strict=True)
            if d is not None
        }
        products = {(product.operand, product.matrix) for product in back.products}
        return (
            *(source in reached for source in range(len(self.slots))),
            *(d is not None for d in back.constants),
            *(
                any((operand, node) in products for node in nodes)
                for operand, nodes in self.split.stacks
            ),
            *(True for _ in self.split.graph.states),
        )

    @cached_property
    def leaves(self) -> dict[Expression, Expression]:
        """For each value that comes from before the loop, a leaf that stands for it."""
        kinds = {
            "read": self.split.forward.reads,
            "constant": self.split.forward.constants,
            "matrix": tuple(dict.fromkeys(n for _, nodes in self.split.stacks for n in nodes)),
        }
        return {
            node: Expression("input" if kind == "read" else "parameter", (), f"{kind}_{number}")
            for kind, nodes in kinds.items()
            for number, node in enumerate(nodes)
        }

    @cached_property
    def loop(self) -> Graph:
        """What runs in the loop, as a graph by itself that reads `leaves`."""
        normal = self.split.graph
        shapes = {leaf: normal.shapes[node] for node, leaf in self.leaves.items()}
        return replace(
            normal.rewritten(self.leaves, shapes),
            inputs=tuple(leaf for leaf in shapes if leaf.op == "input"),
            parameters=tuple(leaf for leaf in shapes if leaf.op == "parameter"),
            shown=tuple(self._name(node) for node in self.outputs[1:]),
        )

    def _name(self, node: Expression) -> str:
        graph = self.split.graph
        return next(name for name, value in graph.named if value is node and name in graph.shown)

    def _source(self, node: Expression) -> tuple[str, int, int, int]:
        """Where a value that is shown comes from; see `shown`."""
        if node in self.outputs:
            return "loop", self.outputs.index(node), 0, 1
        return "front", *self.split.front.given_to_step(node)

    def divide(self, tensors: Sequence[Tensor]) -> tuple[Sequence[Tensor], ...]:
        """(sources, constants, stacked matrices, states)."""
        a = len(self.slots)
        b = a + len(self.split.constants)
        c = b + len(self.split.matrices)
        return tensors[:a], tensors[a:b], tensors[b:c], tensors[c:]

    def read(self, sources: Sequence[Tensor]) -> dict[Expression, Tensor]:
        """Each read by itself: a view of its source."""
        return {
            node: _part(sources[source], position, members)
            for node, (source, position, members) in zip(
                self.split.forward.reads, self.reads, strict=True
            )
        }

    def constants(self, tensors: Sequence[Tensor]) -> dict[Expression, Tensor]:
        """Each constant by itself."""
        return dict(zip(self.split.forward.constants, tensors, strict=True))

    def matrices(self, stacked: Sequence[Tensor]) -> dict[Expression, Tensor]:
        """Each matrix by itself: a view of its stack."""
        found: dict[Expression, Tensor] = {}
        for (_, nodes), stack in zip(self.split.stacks, stacked, strict=True):
            found |= dict(zip(nodes, stack.chunk(len(nodes)), strict=True))
        return found

    def matrix_fields(
        self, stacked: Sequence[Tensor], nodes: Sequence[Expression]
    ) -> dict[Expression, MatrixFields]:
        """Where each of these matrices lies: those of the loop, as they are or mirrored."""
        found = {}
        for node in nodes:
            number, position, count, mirrored = self._matrix_places[node]
            stack = stacked[number]
            rows, columns = stack.stride()
            start = position * (stack.shape[0] // count) * rows * stack.element_size()
            strides = (columns, rows) if mirrored else (rows, columns)
            found[node] = (stack.data_ptr() + start, *strides)
        return found

    @cached_property
    def _matrix_places(self) -> dict[Expression, tuple[int, int, int, bool]]:
        """For each matrix, and each mirrored, (stack, position in it, members of it, mirrored)."""
        found = {}
        for number, (_, nodes) in enumerate(self.split.stacks):
            for position, node in enumerate(nodes):
                other = node.args[0] if node.op == "transpose" else Expression("transpose", (node,))
                found[other] = (number, position, len(nodes), True)
                found[node] = (number, position, len(nodes), False)
        return found

    @cached_property
    def _where(self) -> dict[str, tuple[int, int, int]]:
        """For each size letter a place to read it: (tensor, dimension, members side by side)."""
        cut, normal = self.split, self.split.graph
        found: dict[str, tuple[int, int, int]] = {}
        place = len(self.taken)
        for number, state in enumerate(normal.states):
            found.setdefault(normal.shape(state)[0], (place + number, 1, 1))
        place = len(self.slots) + len(cut.constants)
        for number, (_, nodes) in enumerate(cut.stacks):
            rows, columns = normal.shapes[nodes[0]]
            found.setdefault(rows, (place + number, 0, len(nodes)))
            found.setdefault(columns, (place + number, 1, 1))
        for number, node in enumerate(cut.forward.constants):
            if normal.shapes[node]:
                found.setdefault(normal.shapes[node][0], (len(self.slots) + number, 0, 1))
        for read, (source, _, members) in zip(cut.forward.reads, self.reads, strict=True):
            if normal.shapes[read]:
                found.setdefault(normal.shapes[read][0], (source, 2, members))
        return found

    @property
    def letters(self) -> list[str]:
        """The size letters that a step meets, sorted."""
        return sorted(self._where)

    def sizes(self, tensors: Sequence[Tensor]) -> dict[str, int]:
        """The number behind each size letter that a step meets."""
        return {
            letter: tensors[tensor].shape[dimension] // members
            for letter, (tensor, dimension, members) in self._where.items()
        }


def _part(source: Tensor, position: int, members: int) -> Tensor:
    width = source.shape[-1] // members
    return source.narrow(-1, position * width, width)


@lru_cache(maxsize=256)
def text_of(graph: Graph) -> str:
    """The graph as text: its name outside this process, and in operators."""
    return dumps(graph)


@lru_cache(maxsize=256)
def operands(text: str) -> Operands:
    """See `Operands`; one for all graphs with the same text."""
    return Operands(loads(text))

"""The tensors that a recurrence takes: which values of the graph they hold, in which order.

What its steps read comes from sources: sequences that are given, or products of a sequence with
weights, which the recurrence computes itself, for all steps before the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TypeVar

import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from recurra.backends.cpu.compiled import split
from recurra.backends.cpu.program import given_out
from recurra.backends.cpu.sheet import Span
from recurra.backends.plan import Program
from recurra.graph import Expression, Graph
from recurra.graph.serial import dumps, loads

Sizes = tuple[tuple[str, int], ...]
_T = TypeVar("_T")  # a tensor, or where it lies


@dataclass(frozen=True)
class Source:
    """Where reads come from.

    Attributes:
        slots: of the front: of a sequence; or of a sequence, weights, and perhaps a bias, of which
            the source is the product.
        first: number of the first of their tensors.
    """

    slots: tuple[int, ...]
    first: int

    @property
    def is_product(self) -> bool:
        """Whether it is computed."""
        return len(self.slots) > 1

    @property
    def numbers(self) -> range:
        """Numbers of its tensors."""
        return range(self.first, self.first + len(self.slots))


class Operands:
    """The tensors of a recurrence: sources of its reads, constants, stacked matrices, states.

    Attributes:
        graph: the step; what runs before the loop is a part of it, and left out here.
        split: the graph, cut.
        sources: in the order of the tensors.
        front: what is computed before from sequences, without what sources compute.
        reads: for each read, (source, position in it, members of it).
        outputs: what the loop gives out, the output first.
        output_states: for each of them the number of the state whose value after the step it is; or
            None.
        shown: for each value of `graph.shown` ("loop", number of an output, 0, 1), or ("front",
            slot, position in it, members of it), and the dimensions of a value.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.split = split(graph)
        normal = self.split.graph
        self._slots = slots = list(dict.fromkeys(slot for slot, _, _ in self.split.reads))
        self.reads = [
            (slots.index(slot), position, count) for slot, position, count in self.split.reads
        ]
        self.outputs = given_out(normal)
        numbers = {update: k for k, update in reversed([*enumerate(normal.updates)])}
        self.output_states = tuple(numbers.get(node) for node in self.outputs)
        self.shown = [self._source(node) for node in normal.outputs[1:]]
        products = self._products(slots)
        self.front: Program = [one for one in self.split.front.parallel if one[2] not in products]
        self.sources: list[Source] = []
        first = 0
        for slot in slots:
            self.sources.append(Source(products.get(slot, (slot,)), first))
            first += len(self.sources[-1].slots)

    def _products(self, slots: Sequence[int]) -> dict[int, tuple[int, ...]]:
        """The sources that are products which nobody else needs: their operands' slots."""
        front = self.split.front
        elsewhere = {slot for _, sources, _ in front.parallel for slot in sources}
        elsewhere |= {slot for kind, slot, *_ in self.shown if kind == "front"}
        return {
            target: sources
            for function, sources, target in front.parallel
            if function is front.linear
            and isinstance(target, int)
            and target in slots
            and target not in elsewhere
        }

    def of_state(self, number: int) -> int | None:
        """The output that is a state's value after the step; None if there is none."""
        return self.output_states.index(number) if number in self.output_states else None

    @cached_property
    def taken(self) -> list[int]:
        """Slots of the front, in the order of the tensors; the states follow."""
        of_sources = [slot for source in self.sources for slot in source.slots]
        return [*of_sources, *self.split.constants, *self.split.matrices]

    @property
    def has_products(self) -> bool:
        """Whether it computes products of sequences."""
        return any(source.is_product for source in self.sources)

    @cached_property
    def leading(self) -> tuple[int | None, ...]:
        """For each tensor the dimensions in front of a value's own; None: it holds weights.

        A value may be a matrix of each row of the batch; kernels see its numbers one after another.
        """
        return (
            *(2 if k == s.first else None for s in self.sources for k in s.numbers),
            *(0 for _ in self.split.constants),
            *(None for _ in self.split.matrices),
            *(1 for _ in self.split.graph.states),
        )

    @cached_property
    def has_matrices(self) -> bool:
        """Whether any value that it takes or gives out is a matrix of each row, or one of weights.

        Not those weights that only stand on the left of products.
        """
        graph, forward = self.split.graph, self.split.forward
        nodes = (*forward.reads, *forward.constants, *graph.states, *self.outputs)
        return any(len(self.letters_of(node)) == 2 for node in nodes)

    @property
    def constants_from(self) -> int:
        """The number of the first tensor of a constant."""
        return sum(len(source.slots) for source in self.sources)

    @property
    def matrices_from(self) -> int:
        """The number of the first tensor of stacked matrices."""
        return self.constants_from + len(self.split.constants)

    @cached_property
    def kept(self) -> tuple[Expression, ...]:
        """Values that the forward direction stores for the backward one, beside its output."""
        stores = (*self.split.forward.stores, *self.split.backward.kept)
        return tuple(node for node in dict.fromkeys(stores) if node not in self.outputs)

    @cached_property
    def in_place(self) -> dict[int, tuple[Expression, ...]]:
        """For some sources that are products, the kept values that take the places of theirs."""
        found = {self._slots.index(slot): nodes for slot, nodes in self.split.in_place.items()}
        return {k: nodes for k, nodes in found.items() if self.sources[k].is_product}

    @cached_property
    def kept_together(self) -> list[tuple[int | None, tuple[Expression, ...]]]:
        """The kept values that stand side by side in one tensor, and the source in whose place.

        First those of no source (None), if there are some.
        """
        elsewhere = {node for nodes in self.in_place.values() for node in nodes}
        apart = tuple(node for node in self.kept if node not in elsewhere)
        return [*([(None, apart)] if apart else []), *self.in_place.items()]

    @cached_property
    def kept_sources(self) -> tuple[int, ...]:
        """Sources that are products and that the backward direction reads."""
        read = {value for value, _ in self.split.backward.values}
        reads = zip(self.split.forward.reads, self.reads, strict=True)
        needed = {source for node, (source, _, _) in reads if node in read}
        return tuple(k for k in sorted(needed) if self.sources[k].is_product)

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
            *(k in reached for k, source in enumerate(self.sources) for _ in source.slots),
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

    def _source(self, node: Expression) -> tuple[str, int, int, int, int]:
        """Where a value that is shown comes from; see `shown`."""
        own = max(len(self.split.graph.shapes[node]), 1)
        if node in self.outputs:
            return "loop", self.outputs.index(node), 0, 1, own
        return "front", *self.split.front.given_to_step(node), own

    def divide(self, tensors: Sequence[_T]) -> tuple[Sequence[_T], ...]:
        """(tensors of sources, constants, stacked matrices, states and what follows them)."""
        a, b, c = self.constants_from, self.matrices_from, len(self.taken)
        return tensors[:a], tensors[a:b], tensors[b:c], tensors[c:]

    def read(self, tensors: Sequence[Tensor]) -> dict[Expression, Tensor]:
        """Each read by itself: a view of its source, whose product PyTorch computes."""
        sources = [
            F.linear(*(tensors[k] for k in source.numbers))
            if source.is_product
            else tensors[source.first]
            for source in self.sources
        ]
        return {
            node: part(sources[source], position, members)
            for node, (source, position, members) in zip(
                self.split.forward.reads, self.reads, strict=True
            )
        }

    def constants(self, tensors: Sequence[_T]) -> dict[Expression, _T]:
        """Each constant by itself."""
        return dict(zip(self.split.forward.constants, tensors, strict=True))

    def matrices(self, stacked: Sequence[Tensor]) -> dict[Expression, Tensor]:
        """Each matrix by itself: a view of its stack."""
        found: dict[Expression, Tensor] = {}
        for (_, nodes), stack in zip(self.split.stacks, stacked, strict=True):
            found |= dict(zip(nodes, stack.chunk(len(nodes)), strict=True))
        return found

    def matrix(self, node: Expression, stacked: Sequence[Span]) -> Span:
        """Where a matrix of the loop lies, as it is or mirrored."""
        number, position, count, mirrored = self._matrix_places[node]
        stack = stacked[number]
        rows = stack.shape[0] // count
        own = stack.since(position * rows).before((count - 1 - position) * rows)
        return own.mirrored() if mirrored else own

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
            for dimension, letter in enumerate(normal.shape(state), 1):
                found.setdefault(letter, (place + number, dimension, 1))
        place = self.matrices_from
        for number, (_, nodes) in enumerate(cut.stacks):
            rows, columns = normal.shapes[nodes[0]]
            found.setdefault(rows, (place + number, 0, len(nodes)))
            found.setdefault(columns, (place + number, 1, 1))
        for number, node in enumerate(cut.forward.constants):
            for dimension, letter in enumerate(normal.shapes[node]):
                found.setdefault(letter, (self.constants_from + number, dimension, 1))
        for read, (source, _, members) in zip(cut.forward.reads, self.reads, strict=True):
            for dimension, letter in enumerate(normal.shapes[read]):
                own = self.sources[source]
                where = (own.first + 1, 0) if own.is_product else (own.first, 2 + dimension)
                found.setdefault(letter, (*where, members))
        return found

    @property
    def letters(self) -> list[str]:
        """The size letters that a step meets, sorted."""
        return sorted(self._where)

    def sizes(self, shapes: Sequence[Sequence[int]]) -> dict[str, int]:
        """The number behind each size letter that a step meets, from the shapes of the tensors."""
        return {
            letter: shapes[tensor][dimension] // members
            for letter, (tensor, dimension, members) in self._where.items()
        }

    def shape_of(self, node: Expression, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The dimensions of a value of the step; a scalar has one."""
        return tuple(sizes[letter] for letter in self.letters_of(node)) or (1,)

    def letters_of(self, node: Expression) -> tuple[str, ...]:
        """The size letters of a value, also of a state that an edit has made unused."""
        graph = self.split.graph
        return graph.shape(node) if node.op == "state" else graph.shapes[node]


def part(source: Tensor, position: int, members: int) -> Tensor:
    """One of the values that stand side by side."""
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

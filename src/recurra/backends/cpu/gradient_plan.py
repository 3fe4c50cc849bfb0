"""How a call runs backward: the kernel, then the gradients of weights and of what they met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from torch import Tensor

from recurra.backends.cpu.assembled import Later, Values
from recurra.backends.cpu.backward import Backward
from recurra.backends.cpu.batch import Layout
from recurra.backends.cpu.operands import Source
from recurra.backends.cpu.plans import Call, Key, Plan
from recurra.backends.cpu.product import add_product, add_weight_gradients
from recurra.backends.cpu.run import Run, add_run
from recurra.backends.cpu.sheet import Sheet, Span
from recurra.graph import Expression

_Pieces = list[tuple[int, Span]]  # gradients side by side: (number of the first unit, where)


@dataclass(frozen=True, eq=False)
class GradientPlan:
    """How a call runs backward.

    Attributes:
        plan: all that kernels do.
        direct: for the tensors whose gradients kernels write, which of what is made.
        later: what PyTorch puts together afterwards.
    """

    plan: Plan
    direct: dict[int, int]
    later: Later

    def run(self, given: Sequence[Tensor]) -> dict[int, Tensor]:
        """The gradients that are wanted, by the number of their tensor."""
        made = self.plan.run(given)
        found = {number: made[place] for number, place in self.direct.items()}
        return self.later.added(found, given, made) if self.later.numbers else found


@lru_cache(maxsize=256)
def gradient_plan(key: Key, wanted: tuple[bool, ...]) -> GradientPlan:
    """The plan of what follows the forward direction of a call.

    What is given are the tensors of the call, what `training_plan` makes without the last states,
    the gradients of the outputs, and those of the last states.

    Args:
        key: of what is given.
        wanted: for each tensor of the call, whether its gradient is asked for.
    """
    return _Writer(Call(key), wanted).written()


class _Writer:
    def __init__(self, call: Call, wanted: tuple[bool, ...]) -> None:
        self.call, self.operands = call, call.operands
        self.wanted = {number for number, one in enumerate(wanted) if one}
        self.machine = call.compiled.gradients
        self.values = Values(call)
        self.direct: dict[int, Span] = {}
        self.rooms: dict[Expression, Span] = {}
        self.weights: dict[Span, list[tuple[Span, Span]]] = {}  # (result, value) of each product
        self.sums: dict[Span, list[Span]] = {}

    @property
    def _back(self) -> Backward:
        return self.operands.split.backward

    def written(self) -> GradientPlan:
        """The whole plan."""
        call = self.call
        stacks = [k for k in range(len(self._stacks)) if self._is_plain(k)]
        sources = [k for k in self._wanted_sources if self._is_whole(k)]
        for number in self._written_by_kernels(stacks, sources):
            self.direct[number] = call.made.new(call.spans[number].shape)
        rest = sorted(n for n in self.wanted if n not in self.direct and self._differentiable[n])
        if rest:  # PyTorch reads gradients of steps
            self._make_rooms(call.made.new)
        sheet = call.sheet()
        if not rest:
            self._make_rooms(sheet.room)
        self._add_kernel(sheet)
        if not call.empty:
            for stack in stacks:
                self._plan_matrix(sheet, stack)
            for source in sources:
                self._plan_source(sheet, self.operands.sources[source])
            for number, one in self._constants.items():
                if number in self.direct:
                    sheet.sum_rows(self.direct[number], self.rooms[one].flat())
            self._add_weights(sheet)
            for source in sources:
                self._add_sequence(sheet, self.operands.sources[source])
        sheet.close()
        later = Later(call, self.values, self.rooms, rest)
        direct = {number: call.made.number(span) for number, span in self.direct.items()}
        return GradientPlan(Plan("gradients", call, sheet), direct, later)

    @property
    def _differentiable(self) -> tuple[bool, ...]:
        return self.operands.differentiable

    def _written_by_kernels(self, stacks: list[int], sources: list[int]) -> Iterator[int]:
        """The numbers of the tensors whose gradients need nothing but kernels."""
        taken = self.operands
        numbers = [taken.matrices_from + stack for stack in stacks]
        numbers += self._constants
        numbers += [number for k in sources for number in taken.sources[k].numbers]
        first = len(taken.taken)
        numbers += range(first, first + len(taken.split.graph.states))
        return (number for number in numbers if number in self.wanted)

    # Where the gradients of a step go

    def _make_rooms(self, new: Callable[[Sequence[int]], Span]) -> None:
        """Gradients that one product reads together stand side by side, first those of a source.

        A source has two products for each piece of it, a stack of matrices one.
        """
        sources = range(len(self.operands.sources))
        groups = [[d for _, d in self.values.of_source(number)] for number in sources]
        for stack in self._stacks:
            groups.append([product.gradient for product in self.values.of_stack(*stack).values()])
        groups += [[node] for node in self._stored]
        for group in groups:
            mine = [n for n in dict.fromkeys(group) if n in self._stored and n not in self.rooms]
            if mine:
                sizes = [self.machine.kernel.size(node) for node in mine]
                whole = new(self.call.sequence(sum(sizes)))
                self.rooms |= zip(mine, whole.split(sizes), strict=True)

    @property
    def _stored(self) -> tuple[Expression, ...]:
        return self.machine.program.stores

    @property
    def _stacks(self) -> list[tuple[Expression, tuple[Expression, ...]]]:
        return self.operands.split.stacks

    # What kernels do without PyTorch

    def _is_plain(self, stack: int) -> bool:
        """Whether all members of a stack have a gradient, in all steps, and it is wanted."""
        operand, nodes = self._stacks[stack]
        products = self.values.of_stack(operand, nodes)
        return (
            self.operands.matrices_from + stack in self.wanted
            and len(products) == len(nodes)
            and not any(p.gradient in self._back.clocks for p in products.values())
            and all(p.gradient in self._stored for p in products.values())
        )

    @property
    def _constants(self) -> dict[int, Expression]:
        """For each constant that gets a gradient, what every step and row adds to it."""
        numbers = enumerate(self._back.constants, self.operands.constants_from)
        return {number: one for number, one in numbers if one is not None}

    @cached_property
    def _wanted_sources(self) -> list[int]:
        return [
            k
            for k, source in enumerate(self.operands.sources)
            if source.is_product and any(number in self.wanted for number in source.numbers)
        ]

    def _is_whole(self, number: int) -> bool:
        """Whether all members of a source have a gradient of their own for every step and row."""
        found = self.values.of_source(number)
        return (
            self.call.is_whole(self.operands.sources[number])
            and len(found) == self.values.members(number)
            and all(d in self._stored for _, d in found)
        )

    def _add_kernel(self, sheet: Sheet) -> None:
        call, back = self.call, self._back
        states = []
        for start in self.values.d_states:
            slots = sheet.room(call.batch.slots(start.shape[1], False))
            call.batch.enter(sheet, slots, start, False)
            states.append((slots, False))
        if not call.empty:
            d_outputs = zip(back.d_outputs, self.values.d_outputs, strict=True)
            reads: dict[Expression, tuple[Span, Layout]] = {
                leaf: (d, call.batch.layout(d)) for leaf, d in d_outputs
            }
            reads |= {leaf: self.values.read(value) for value, leaf in back.values}
            stacked = call.divided()[2]
            matrices = self.machine.program.matrices
            run = Run(
                reads,
                call.constants(),
                {node: self.operands.matrix(node, stacked) for node in matrices},
                states,
                {node: self.rooms[node] for node in self.machine.program.stores},
            )
            add_run(sheet, self.machine, call.batch, run)
        first = len(self.operands.taken)
        for number, (slots, _) in enumerate(states):  # all rows end in the first step
            if first + number in self.direct:
                sheet.copy(self.direct[first + number], slots.at(call.batch.steps & 1))

    def _plan_matrix(self, sheet: Sheet, stack: int) -> None:
        """The gradient of a stack: for each piece of its members, one product over all steps."""
        operand, nodes = self._stacks[stack]
        products = self.values.of_stack(operand, nodes)
        result = self.direct[self.operands.matrices_from + stack]
        value = self.values.operand(sheet, products[nodes[0]].value, self.rooms).flat()
        for first, d in self._pieces([products[node].gradient for node in nodes]):
            self.weights.setdefault(d, []).append((_some(result, first, d), value))

    def _plan_source(self, sheet: Sheet, source: Source) -> None:
        """The gradients of the weights that a sequence met, and of their bias."""
        x, weight, *bias = source.numbers
        d_bias = self.direct.get(bias[0]) if bias else None
        result = self.direct.get(weight)
        if result is None and d_bias is None:
            return
        if result is None:
            result = sheet.room(self.call.spans[weight].shape)  # on the way to the sums
        for first, d in self._pieces_of(source):
            side = _some(result, first, d), self.call.spans[x].flat()
            self.weights.setdefault(d, []).append(side)
            if d_bias is not None:
                self.sums.setdefault(d, []).append(_some(d_bias, first, d))

    def _add_weights(self, sheet: Sheet) -> None:
        """What reads the same gradients of steps is one part, two products at a time."""
        for d, sides in self.weights.items():
            known = self.sums.get(d, [])
            for first in range(0, len(sides), 2):
                sums = known[0] if known and not first else None
                add_weight_gradients(sheet, d.flat(), sides[first : first + 2], sums)
            for other in known[1:]:  # of another bias in the same sum
                sheet.copy(other.as_row(), known[0].as_row())

    def _add_sequence(self, sheet: Sheet, source: Source) -> None:
        """The gradient of a sequence."""
        x, weight = source.numbers[:2]
        if x in self.direct:
            for first, d in self._pieces_of(source):
                part = _some(self.call.spans[weight], first, d)
                add_product(sheet, self.direct[x].flat(), d.flat(), part, begun=first > 0)

    def _pieces_of(self, source: Source) -> _Pieces:
        number = self.operands.sources.index(source)
        return self._pieces([d for _, d in self.values.of_source(number)])

    def _pieces(self, gradients: Sequence[Expression]) -> _Pieces:
        """Gradients of the members of a stack: those that stand side by side in one piece."""
        pieces: _Pieces = []
        first = 0
        for node in gradients:
            own = self.rooms[node]
            width = own.shape[-1]
            if pieces:
                begin, last = pieces[-1]
                if last.base == own.base and last.start + last.shape[-1] == own.start:
                    shape = (*last.shape[:-1], last.shape[-1] + width)
                    pieces[-1] = begin, Span(last.base, last.start, shape, last.strides)
                    first += width
                    continue
            pieces.append((first, own))
            first += width
        return pieces


def _some(stacked: Span, first: int, d: Span) -> Span:
    """Of a stack of weights or their gradients, the rows that belong to some gradients of steps."""
    return stacked.since(first).before(stacked.shape[0] - first - d.shape[-1])

"""A stream in fused kernels: one call of a kernel for each layer and step.

Over a sequence, what depends on inputs only runs before the loop, as one large product. A single
step has nothing to gain from that: here inputs are values of the step like any other, and the
kernel multiplies them too. Tables are filled once; a step only says where its input lies.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.cpu import memory, threads
from recurra.backends.cpu.batch import dense
from recurra.backends.cpu.compiled import Machine
from recurra.backends.cpu.parts import LINES
from recurra.backends.cpu.product import BITS
from recurra.backends.cpu.program import StepProgram, forward_program, normal
from recurra.backends.cpu.run import Run, add_packing, add_table
from recurra.backends.cpu.sheet import GIVEN, Sheet, Span
from recurra.backends.plan import Plan
from recurra.backends.reference import execute
from recurra.backends.steps import Layer, States, Steps
from recurra.backends.weights import Weights
from recurra.graph import Expression, Graph
from recurra.graph.facts import below

Numbers = ctypes.Array[ctypes.c_int64]


class Step:
    """One step of a graph, inputs included, as a kernel and what runs before it.

    Attributes:
        graph: with its inputs as leaves that are there when the step begins.
        machine: the kernel.
        front: what follows from weights alone.
        constants, matrices: slots of the front, in the order of the program.
    """

    def __init__(self, graph: Graph, sizes: Mapping[str, int], bits: int) -> None:
        inside = {
            leaf: Expression("state", (), leaf.attribute)
            for leaf, _ in graph.leaf_shapes
            if leaf.op == "input"
        }
        leaves = {new: graph.shape(old) for old, new in inside.items()}
        self.graph = normal(graph.rewritten(inside, leaves))
        program = forward_program(self.graph)
        read = {arg for node in self.graph.nodes for arg in (node, *node.args)}
        program = replace(program, reads=tuple(leaf for leaf in leaves if leaf in read))
        self.machine = Machine(program, sizes, bits, backwards=False)
        self.front = Plan(self.graph)
        self.constants = [self.front.given_to_step(node)[0] for node in program.constants]
        self.matrices = [self.front.stacked((node,)) for node in program.matrices]

    @property
    def program(self) -> StepProgram:
        """What the kernel computes."""
        return self.machine.program


@lru_cache(maxsize=256)
def _step(graph: Graph, sizes: tuple[tuple[str, int], ...], bits: int) -> Step:
    return Step(graph, dict(sizes), bits)


class FusedLayer:
    """One layer: its kernel, and all memory of its steps.

    A step reads the states in one slot and writes them in the other. There is a table for either
    way round, number 0 and 1.
    """

    def __init__(self, layer: Layer, rows: int, like: Tensor) -> None:
        self.step = _step(layer.graph, tuple(sorted(layer.sizes.items())), BITS[like.dtype])
        self.layer, self.rows, self._batch = layer, rows, dense(1, rows)
        kernel, program = self.step.machine.kernel, self.step.program
        self.slots = [like.new_zeros(2, rows, kernel.size(state)) for state in program.states]
        self.stores = {n: like.new_zeros(1, rows, kernel.size(n)) for n in program.stores}
        self.reads = {
            leaf: layer.held[leaf.attribute].flatten(2).contiguous()
            if leaf.attribute in layer.held
            else like.new_zeros(1, rows, kernel.size(leaf))
            for leaf in program.reads
        }
        self._places = {
            str(leaf.attribute): kernel.table.place(kernel.table.key("read", leaf))
            for leaf in program.reads
        }
        self._tables: list[int] = []  # where they begin in the sheet
        self.sheet: Numbers = (ctypes.c_int64 * 0)()
        self._kept: list[Tensor] = []

    @property
    def inputs(self) -> Iterable[str]:
        """What a step reads."""
        return self._places

    def place(self, name: str, number: int) -> int:
        """Where in the sheet a table has the address of an input."""
        return self._tables[number] + self._places[name]

    def states(self, number: int) -> tuple[Tensor, ...]:
        """The states in one slot, those that are matrices in this form."""
        sizes, graph = self.step.machine.kernel.draft.sizes, self.step.graph
        found = []
        for state, slots in zip(self.step.program.states, self.slots, strict=True):
            shape = [sizes[letter] for letter in graph.shape(state)]
            found.append(slots[number].unflatten(-1, shape) if len(shape) > 1 else slots[number])
        return tuple(found)

    def output(self, number: int) -> Tensor:
        """Where the step of this table leaves the output, (B, size)."""
        return self._value(self.step.graph.output, number)

    def handed(self, number: int) -> dict[str, Tensor]:
        """What the step of this table leaves for the layer above, by the input that it is there."""
        named = dict(self.step.graph.named)
        values = {
            str(leaf.attribute): named[name] for leaf, name in below(self.layer.graph).items()
        }
        values["x"] = self.step.graph.output
        return {name: self._value(node, number) for name, node in values.items()}

    def _value(self, node: Expression, number: int) -> Tensor:
        updates = self.step.graph.updates
        return (
            self.slots[updates.index(node)][1 - number] if node in updates else self.stores[node][0]
        )

    def load(self, weights: Weights, lower: FusedLayer | None) -> None:
        """Pack the weights, and fill both tables with what the layer below leaves."""
        step, like = self.step, self.slots[0]
        states = self.states(0)
        sequences = {str(leaf.attribute): value for leaf, value in self.reads.items()}
        values = step.front.blank(weights, Given(1, self.rows, sequences, {}, states))
        execute(step.front.constant, values)
        constants = [values[slot].to(like.dtype).contiguous() for slot in step.constants]
        constants = [value.flatten() if value.dim() == 2 else value for value in constants]
        matrices = [values[slot].to(like.dtype) for slot in step.matrices]
        self._fill(constants, matrices)
        for number in (0, 1):
            for name, value in {} if lower is None else lower.handed(number).items():
                if name in self._places:
                    self.sheet[self.place(name, number)] = value.data_ptr()

    # All that is known here of how a kernel is called: what it finds in its tables, and the call.

    def _fill(self, constants: list[Tensor], matrices: list[Tensor]) -> None:
        """Both tables; they differ in the slots of the states alone."""
        machine, program, size = self.step.machine, self.step.program, self.slots[0].element_size()
        tensors = [*self.reads.values(), *self.stores.values(), *self.slots, *constants, *matrices]
        sheet = Sheet(size, len(tensors))
        spans = iter([Span.of(GIVEN + k, t.shape, t.stride()) for k, t in enumerate(tensors)])
        reads = {leaf: next(spans) for leaf in self.reads}
        stores = {node: next(spans) for node in self.stores}
        states = [(next(spans), False) for _ in self.slots]
        run = Run(
            {leaf: (span, self._batch.layout(span)) for leaf, span in reads.items()},
            {node: next(spans) for node in program.constants},
            {node: next(spans) for node in program.matrices},
            states,
            stores,
        )
        first, self._team = add_table(sheet, machine, self._batch, run, 1)
        packed = add_packing(sheet, machine, first)
        self._tables = [first, sheet.twin(first, machine.kernel.table.size)]
        for number, at in enumerate(self._tables):
            self._put_states(sheet, at, [slots for slots, _ in states], number)
        sheet.close()
        work = [memory.empty(self.slots[0], -(-count // size)) for count in sheet.work]
        meeting = torch.zeros(2 * LINES // 8, dtype=torch.int64)
        addresses = [tensor.data_ptr() for tensor in (*tensors, *work)]
        self._kept = [*tensors, *work, meeting]
        self.sheet = sheet.filled(addresses, meeting.data_ptr())
        if packed:
            threads.run(machine.pack, self._address(0), torch.get_num_threads())

    def _put_states(self, sheet: Sheet, at: int, spans: Sequence[Span], number: int) -> None:
        """Slot 0 of a kernel is slot `number`, its slot 1 the other, which lies before or after."""
        keys = self.step.machine.kernel.table
        sheet.put(at + keys.place("turn"), number)  # one way through the weights, then back
        for state, slots in zip(self.step.program.states, spans, strict=True):
            place = at + keys.place(keys.state(state))
            stride, *rest = self._batch.slot_layout(slots, history=False)
            sheet.span(place, slots.at(number))
            sheet.put(place + 1, stride * (1 - 2 * number), *rest)

    def _address(self, number: int) -> int:
        return ctypes.addressof(self.sheet) + 8 * self._tables[number]

    def call(self, number: int) -> Callable[[], object]:
        """What runs the step with this table."""
        return threads.ready(self.step.machine.share, self._address(number), self._team)


@dataclass(frozen=True, eq=False)
class Round:
    """One of the two ways round.

    Attributes:
        calls: run the layers, from the lowest up.
        inputs: for each input by name, (sheet, place of its address) in each layer that reads it.
        output: of the last layer.
    """

    calls: tuple[Callable[[], object], ...]
    inputs: Mapping[str, tuple[tuple[Numbers, int], ...]]
    output: Tensor


class FusedSteps(Steps):
    """A stack on a CPU, in float32 or float64."""

    def __init__(self, layers: Sequence[Layer], rows: int, like: Tensor) -> None:
        super().__init__(layers, rows, like)
        self._clock = like.new_zeros(1, 1, 1)
        self._time = self._clock.numpy()
        self._fused = [
            FusedLayer(replace(layer, held={**layer.held, "t": self._clock}), rows, like)
            for layer in layers
        ]
        self._timed = any("t" in layer.inputs for layer in self._fused)
        self._rounds: list[Round] = []
        self._now = 0

    def load(self, weights: Sequence[Weights]) -> None:
        """See `Steps.load`."""
        lower = None
        for layer, own in zip(self._fused, weights, strict=True):
            layer.load(own, lower)
            lower = layer
        self._rounds = [self._round(number) for number in (0, 1)]

    def _round(self, number: int) -> Round:
        inputs: dict[str, tuple[tuple[Numbers, int], ...]] = {}
        for height, layer in enumerate(self._fused):
            handed = layer.handed(number) if height else {}
            for name in layer.inputs:
                if name not in layer.layer.held and name not in handed:
                    place = layer.sheet, layer.place(name, number)
                    inputs[name] = (*inputs.get(name, ()), place)
        calls = tuple(layer.call(number) for layer in self._fused)
        return Round(calls, inputs, self._fused[-1].output(number))

    @property
    def states(self) -> States:
        """See `Steps.states`."""
        return [layer.states(self._now) for layer in self._fused]

    def start(self, states: States) -> None:
        """See `Steps.start`."""
        for own, given in zip(self.states, states, strict=True):
            for mine, value in zip(own, given, strict=True):
                mine.copy_(value)

    def step(self, x: Tensor, inputs: Mapping[str, Tensor], t: int) -> Tensor:
        """See `Steps.step`."""
        this = self._rounds[self._now]
        for sheet, place in this.inputs.get("x", ()):
            sheet[place] = x.data_ptr()
        for name, value in inputs.items():
            for sheet, place in this.inputs.get(name, ()):
                sheet[place] = value.data_ptr()
        if self._timed:
            self._time[0, 0, 0] = t
        for call in this.calls:
            call()
        self._now = 1 - self._now
        return this.output.clone()

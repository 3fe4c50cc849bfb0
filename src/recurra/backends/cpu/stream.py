"""A stream in fused kernels: one call of a kernel for each layer and step.

Over a sequence, what depends on inputs only runs before the loop, as one large product. A single
step has nothing to gain from that: here inputs are values of the step like any other, and the
kernel multiplies them too. Tables are filled once; a step only says where its input lies.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.cpu import memory, threads
from recurra.backends.cpu.batch import dense
from recurra.backends.cpu.compiled import Machine
from recurra.backends.cpu.program import StepProgram, forward_program, normal
from recurra.backends.cpu.run import MatrixFields, put_batch, put_weights, put_work, team_for
from recurra.backends.cpu.table import Memory
from recurra.backends.plan import Plan
from recurra.backends.reference import execute
from recurra.backends.steps import Layer, States, Steps
from recurra.backends.weights import Weights
from recurra.graph import Expression, Graph
from recurra.graph.facts import below

_BITS = {torch.float32: 32, torch.float64: 64}


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
        self.step = _step(layer.graph, tuple(sorted(layer.sizes.items())), _BITS[like.dtype])
        self.layer, self.rows, self._batch = layer, rows, dense(1, rows)
        kernel, program = self.step.machine.kernel, self.step.program
        self.slots = [like.new_zeros(2, rows, kernel.size(state)) for state in program.states]
        self.stores = {n: like.new_zeros(1, rows, kernel.size(n)) for n in program.stores}
        self.reads = {
            leaf: layer.held[leaf.attribute].contiguous()
            if leaf.attribute in layer.held
            else like.new_zeros(1, rows, kernel.size(leaf))
            for leaf in program.reads
        }
        self.places = {
            str(leaf.attribute): kernel.table.place(kernel.table.key("read", leaf))
            for leaf in program.reads
        }
        self.tables: list[Memory] = []
        self._kept: list[Tensor] = []

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
        states = tuple(slots[0] for slots in self.slots)
        sequences = {str(leaf.attribute): value for leaf, value in self.reads.items()}
        values = step.front.blank(weights, Given(1, self.rows, sequences, {}, states))
        execute(step.front.constant, values)
        constants = [values[slot].to(like.dtype) for slot in step.constants]
        matrices = [values[slot].to(like.dtype) for slot in step.matrices]
        first = step.machine.kernel.table.blank()
        named = dict(zip(step.program.constants, constants, strict=True))
        self._fill(first, named, dict(zip(step.program.matrices, matrices, strict=True)))
        self.tables = [first, type(first).from_buffer_copy(first)]
        for number, table in enumerate(self.tables):
            self._put_states(table, number)
            for name, value in {} if lower is None else lower.handed(number).items():
                if name in self.places:
                    table[self.places[name]] = value.data_ptr()

    # All that is known here of how a kernel is called: what it finds in its table, and the call.

    def _fill(
        self,
        table: Memory,
        constants: Mapping[Expression, Tensor],
        matrices: Mapping[Expression, Tensor],
    ) -> None:
        """Everything but the states, which differ from one way round to the other."""
        machine, keys, batch = self.step.machine, self.step.machine.kernel.table, self._batch
        for leaf, read in self.reads.items():
            keys.put(table, keys.key("read", leaf), *batch.fields(read))
        for node, store in self.stores.items():
            keys.put(table, keys.key("store", node), *batch.fields(store))
        self._kept = [
            *put_weights(machine, table, batch, constants, _places(matrices)),
            *matrices.values(),
            *put_batch(machine, table, batch, team_for(machine, self.rows, 1)[1]),
        ]
        put_work(machine, table, batch, self._room)

    def _room(self, *sizes: int) -> list[int]:
        """Addresses of memory for so many bytes each, as long as this object lives."""
        number = self.slots[0].element_size()
        own = [memory.empty(self.slots[0], -(-size // number)) for size in sizes]
        self._kept += own
        return [block.data_ptr() for block in own]

    def _put_states(self, table: Memory, number: int) -> None:
        """Slot 0 of a kernel is slot `number`, its slot 1 the other, which lies before or after."""
        keys = self.step.machine.kernel.table
        keys.put(table, "turn", number)  # one way through the weights, then back
        for state, slots in zip(self.step.program.states, self.slots, strict=True):
            _, stride, *rest = self._batch.slot_fields(slots, history=False)
            place = slots[number].data_ptr(), stride * (1 - 2 * number), *rest
            keys.put(table, keys.state(state), *place)

    def call(self, number: int) -> Callable[[], object]:
        """What runs the step with this table."""
        machine = self.step.machine
        team, _ = team_for(machine, self.rows, 1)
        return threads.ready(machine.share, ctypes.addressof(self.tables[number]), team)


def _places(matrices: Mapping[Expression, Tensor]) -> dict[Expression, MatrixFields]:
    return {node: (m.data_ptr(), m.stride(0), m.stride(1)) for node, m in matrices.items()}


@dataclass(frozen=True, eq=False)
class Round:
    """One of the two ways round.

    Attributes:
        calls: run the layers, from the lowest up.
        inputs: for each input by name, (table, place of its pointer) in each layer that reads it.
        output: of the last layer.
    """

    calls: tuple[Callable[[], object], ...]
    inputs: Mapping[str, tuple[tuple[Memory, int], ...]]
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
        self._timed = any("t" in layer.places for layer in self._fused)
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
        inputs: dict[str, tuple[tuple[Memory, int], ...]] = {}
        for height, layer in enumerate(self._fused):
            handed = layer.handed(number) if height else {}
            for name, place in layer.places.items():
                if name not in layer.layer.held and name not in handed:
                    inputs[name] = (*inputs.get(name, ()), (layer.tables[number], place))
        calls = tuple(layer.call(number) for layer in self._fused)
        return Round(calls, inputs, self._fused[-1].output(number))

    @property
    def states(self) -> States:
        """See `Steps.states`."""
        return [tuple(slots[self._now] for slots in layer.slots) for layer in self._fused]

    def start(self, states: States) -> None:
        """See `Steps.start`."""
        for own, given in zip(self.states, states, strict=True):
            for mine, value in zip(own, given, strict=True):
                mine.copy_(value)

    def step(self, x: Tensor, inputs: Mapping[str, Tensor], t: int) -> Tensor:
        """See `Steps.step`."""
        this = self._rounds[self._now]
        for table, place in this.inputs.get("x", ()):
            table[place] = x.data_ptr()
        for name, value in inputs.items():
            for table, place in this.inputs.get(name, ()):
                table[place] = value.data_ptr()
        if self._timed:
            self._time[0, 0, 0] = t
        for call in this.calls:
            call()
        self._now = 1 - self._now
        return this.output.clone()

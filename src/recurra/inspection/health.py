"""Health of a recorded run: saturated gates, units that do nothing, how long memories last, NaN."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recurra.graph import Expression, Graph
from recurra.inspection.evaluation import Missing, Values
from recurra.inspection.faults import Fault, first_fault
from recurra.inspection.memories import Memory, find_memories
from recurra.inspection.radius import spectral_radii
from recurra.inspection.ranges import bounds, find_gates, within
from recurra.inspection.recording import Recording

LOW, HIGH = 0.1, 0.9  # a gate below is shut, above is open
FULL = 0.99  # |h| above it is saturated
STILL = 1e-6  # a unit that moves less is constant, one that is nearer to 0 is dead


@dataclass(frozen=True, eq=False)
class Gate:
    """How far a gate is from acting: the share of its values that are saturated.

    Karpathy, Johnson & Fei-Fei 2015, arXiv:1506.02078: a gate is left-saturated below
    0.1 and right-saturated above 0.9. What is a gate follows from the equations (`find_gates`).

    Attributes:
        address: such as "rnn.0.forward.f".
        low: (H,) for each unit the share of its steps in which the gate is below 0.1.
        high: (H,) the same above 0.9.
        mean: of all units and steps.
        of: state of the additive memory that this gate keeps or forgets; "" if none.
    """

    address: str
    low: Tensor
    high: Tensor
    mean: float
    of: str = ""

    @property
    def shut(self) -> float:
        """Share of all values below 0.1."""
        return float(self.low.mean())

    @property
    def open(self) -> float:
        """Share of all values above 0.9."""
        return float(self.high.mean())


@dataclass(frozen=True, eq=False)
class Units:
    """Units of a state or output that say little.

    Attributes:
        address: of the value.
        size: H.
        dead: units that are 0 (within 1e-6) in every step of every row: of a ReLU, those that no
            gradient revives (Lu et al. 2019, arXiv:1903.06733).
        constant: units that stay within 1e-6, the dead ones included.
        full: share of values with |h| > 0.99, where an activation has no slope left; None for a
            value that is not bounded by 1.
    """

    address: str
    size: int
    dead: tuple[int, ...]
    constant: tuple[int, ...]
    full: float | None


@dataclass(frozen=True, eq=False)
class HalfLife:
    """After how many steps half of what was written into a memory is left.

    ln 0.5 / mean(ln f) for each unit, with f the share that is kept and the mean over the steps of
    all rows, so that a unit loses just as much in reality. f = 1 in all steps gives infinity, and
    so does f above 1; one step with f = 0 empties the memory and gives 0. Where f is a sigmoid, ln
    f comes from its operand, exact also near 1. The sign of f is left out. The timescale
    -1 / ln f of Mahto et al. 2021, arXiv:2009.12727, is 1.44 times as long.

    Attributes:
        address: of the state.
        keep: the kept share as its equation has it, such as "f" or "1 - z".
        gates: addresses of the gates that `keep` is made of.
        steps: (H,).
    """

    address: str
    keep: str
    gates: tuple[str, ...]
    steps: Tensor

    @property
    def median(self) -> float:
        """Half of the units have a longer one; infinity counts."""
        return float(self.steps.flatten().sort().values[self.steps.numel() // 2])

    @property
    def shortest(self) -> float:
        """A tenth of the units have no longer one."""
        return self._at(0.1)

    @property
    def longest(self) -> float:
        """A tenth of the units have this one or a longer one."""
        return self._at(0.9)

    def _at(self, share: float) -> float:
        ordered = self.steps.flatten().sort().values
        return float(ordered[int(share * (len(ordered) - 1))])


@dataclass(frozen=True, eq=False)
class Health:
    """What `check_health` found.

    Attributes:
        gates: one for each gate, in the order of the run.
        units: one for each state and output.
        half_lives: one for each additive memory whose share kept is known.
        radii: spectral radius by address of the recurrent weight, as "rnn.0.forward.U_f".
        fault: the first NaN or infinity; None if there is none.
    """

    gates: tuple[Gate, ...]
    units: tuple[Units, ...]
    half_lives: tuple[HalfLife, ...]
    radii: Mapping[str, float]
    fault: Fault | None


@torch.no_grad()
def check_health(recording: Recording, model: nn.Module | None = None) -> Health:
    """Measure a recorded run.

    Args:
        recording: of as many values as are to be judged; those that were not recorded are left out.
        model: whose weights are read; the recorded one if None.
    """
    model = recording.model if model is None else model
    return Health(
        tuple(gate for part in recording.parts for gate in _gates(recording, part)),
        tuple(units for part in recording.parts for units in _units(recording, part)),
        half_lives(recording),
        {} if model is None else spectral_radii(model),
        first_fault(recording),
    )


@torch.no_grad()
def half_lives(recording: Recording) -> tuple[HalfLife, ...]:
    """The half-life of each additive memory; see `HalfLife`."""
    found = []
    for part, facts in recording.parts.items():
        for memory in find_memories(facts.graph):
            try:
                steps = _half_life(Values(recording, part), memory)
            except Missing:
                continue
            addresses = tuple(f"{part}.{gate}" for gate in memory.gates)
            found.append(HalfLife(f"{part}.{memory.state}", memory.text, addresses, steps))
    return tuple(found)


def _half_life(values: Values, memory: Memory) -> Tensor:
    """(size,) steps until half is left."""
    logs = logarithm(values, memory.keep)
    if not isinstance(logs, Tensor):
        logs = values.like.new_tensor(logs)
    start = values.start(memory.state)
    if logs.dim() >= start.dim() + 1:
        logs = logs.expand(*values.like.shape[:2], *start.shape[1:])[values.alive]
    else:  # one number for all units, or for a matrix
        logs = logs.expand(*values.like.shape[:2], start.shape[-1])[values.alive]
    logs = _by_unit(logs, values.facts.graph, memory.state)
    mean = logs.mean(0) if len(logs) else logs.new_zeros(logs.shape[1])
    return torch.where(mean < 0, math.log(0.5) / mean, math.inf)


def logarithm(values: Values, node: Expression) -> Tensor | float:
    """ln |a| of a value, from the operand of a sigmoid or exponential where that is known.

    Raises:
        Missing: as `Values`.
    """
    if node.op == "multiply":
        return logarithm(values, node.args[0]) + logarithm(values, node.args[1])
    one_minus = node.op == "subtract" and node.args[0].attribute == 1
    inner, sign = (node.args[1], -1) if one_minus else (node, 1)
    if inner.op in ("sigmoid", "exp") and (inner.op == "sigmoid" or not one_minus):
        try:
            operand = values(inner.args[0])
        except Missing:
            operand = None
        if isinstance(operand, Tensor):
            return nn.functional.logsigmoid(sign * operand) if inner.op == "sigmoid" else operand
    value = values(node)
    return value.abs().log() if isinstance(value, Tensor) else math.log(abs(value) or 1e-300)


def _gates(recording: Recording, part: str) -> Iterator[Gate]:
    """Each recorded gate of a part."""
    graph = recording.parts[part].graph
    keeps = {gate: memory.state for memory in find_memories(graph) for gate in memory.gates}
    for name in find_gates(graph):
        address = f"{part}.{name}"
        if address in recording:
            value = _examples(recording, address)
            low, high = (value < LOW).float(), (value > HIGH).float()
            mean = float(value.float().mean())
            yield Gate(address, low.mean(0), high.mean(0), mean, keeps.get(name, ""))


def _units(recording: Recording, part: str) -> Iterator[Units]:
    """The units of each recorded state and output of a part."""
    graph = recording.parts[part].graph
    ranges, outputs = bounds(graph), {*graph.updates, graph.output}
    for name, value in graph.named:
        address = f"{part}.{name}"
        if value not in outputs or address not in recording:
            continue
        seen = _examples(recording, address)
        if not len(seen):
            continue
        still = seen.amax(0) - seen.amin(0) <= STILL
        dead = seen.abs().amax(0) <= STILL
        bounded = within(ranges[value], -1, 1)
        full = float((seen.abs() > FULL).float().mean()) if bounded else None
        yield Units(address, seen.shape[1], _numbers(dead), _numbers(still), full)


def _examples(recording: Recording, address: str) -> Tensor:
    """(N, units): a value in all steps of all rows, padding left out."""
    part, _, name = address.rpartition(".")
    value = recording[address]
    return _by_unit(value[recording.alive.to(value.device)], recording.parts[part].graph, name)


def _by_unit(values: Tensor, graph: Graph, name: str) -> Tensor:
    """(N, units) of (N, size), of a matrix (N, rows, columns), of a map (N, channels, places...).

    The channels of a map are its units, and each place is an example.
    """
    if values.dim() > 2 and len(graph.shapes[dict(graph.named)[name]]) == 1:
        return values.movedim(1, -1).flatten(0, -2)
    return values.flatten(1)


def _numbers(which: Tensor) -> tuple[int, ...]:
    return tuple(which.nonzero().flatten().tolist())

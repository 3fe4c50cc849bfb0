"""Where the first NaN or infinity of a run appeared, in the order in which it was computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.graph import Expression
from recurra.inspection.evaluation import Missing, Values
from recurra.inspection.recording import Recording
from recurra.inspection.values import observable


@dataclass(frozen=True)
class Fault:
    """The first value that is no finite number.

    Layers are computed one after the other, each over all of its steps in its own direction; in a
    step the values in the order of the equations, in a value rows before units.

    Attributes:
        part: layer and direction, such as "rnn.0.forward".
        value: name in the equations, such as "f_pre".
        step: from 0, in the order of time; -1 for a state before the first step.
        row: from 0.
        unit: from 0.
        kind: "NaN", "infinity" or "-infinity".
        weights: names of the weights in this value's equation that are not finite themselves.
    """

    part: str
    value: str
    step: int
    row: int
    unit: int
    kind: str
    weights: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Such as "rnn.0.forward.f_pre[17]"."""
        return f"{self.part}.{self.value}[{self.unit}]"

    def __str__(self) -> str:
        when = "before the first step" if self.step < 0 else f"in step {self.step}"
        text = f"the first {self.kind} is {self.address} {when}, row {self.row}"
        if self.weights:
            own = "is a weight that is" if len(self.weights) == 1 else "are weights that are"
            return f"{text}: {' and '.join(self.weights)} {own} not finite"
        return text


@torch.no_grad()
def first_fault(recording: Recording) -> Fault | None:
    """The first NaN or infinity among the recorded values; None if all are finite."""
    for part in recording.parts:
        values = Values(recording, part)
        for state in values.facts.graph.state_names:
            start = recording.before.get(f"{part}.{state}")
            if start is not None and not bool(start.isfinite().all()):
                return _fault(part, state, -1, start)
        found = _in_part(values)
        if found is not None:
            return found
    return None


def _in_part(values: Values) -> Fault | None:
    """The first of one layer and direction."""
    part, graph = values.part, values.facts.graph
    recorded = [name for name in observable(graph) if f"{part}.{name}" in values.recording]
    if not recorded:
        return None
    bad = torch.stack([_bad_steps(values, name) for name in recorded])  # (values, T, B)
    steps = bad.any(0).any(-1).nonzero()
    if not len(steps):
        return None
    first = int(steps[0])
    number = int(bad[:, first].any(-1).nonzero()[0])
    name = recorded[number]
    row = int(bad[number, first].nonzero()[0])
    time = int(_times(values)[first, row])
    value = values.recording[f"{part}.{name}"][time]
    fault_row = torch.zeros_like(value)
    fault_row[row] = value[row]  # rows that run backwards are at another time in this step
    weights = tuple(_bad_weights(values, observable(graph)[name]))
    return _fault(part, name, time, fault_row, weights)


def _bad_steps(values: Values, name: str) -> Tensor:
    """(T, B) bool, in the order of the run: whether any unit is not finite."""
    value = values.recording[f"{values.part}.{name}"]
    bad = ~value.isfinite().flatten(2).all(-1) & values.alive
    return values.in_order(bad)


def _times(values: Values) -> Tensor:
    """(T, B): the index in time of each step of the run."""
    steps, rows = values.like.shape[:2]
    times = torch.arange(steps, device=values.like.device).unsqueeze(1).expand(steps, rows)
    return values.in_order(times)


def _fault(part: str, name: str, step: int, value: Tensor, weights: tuple[str, ...] = ()) -> Fault:
    row, unit = (~value.flatten(1).isfinite()).nonzero()[0].tolist()
    number = float(value.flatten(1)[row, unit])
    kind = "NaN" if number != number else "infinity" if number > 0 else "-infinity"
    return Fault(part, name, step, row, unit, kind, weights)


def _bad_weights(values: Values, node: Expression) -> Iterator[str]:
    """The weights in the equation of a value, up to other named values, that are not finite."""
    named = set(observable(values.facts.graph).values())
    stack, seen = list(node.args), set()
    while stack:
        one = stack.pop(0)
        if one in seen or one in named:
            continue
        seen.add(one)
        if one.op in ("parameter", "fixed"):
            try:
                weight = values.weight(str(one.attribute))
            except Missing:
                return
            if not bool(weight.isfinite().all()):
                yield str(one.attribute)
        stack.extend(one.args)

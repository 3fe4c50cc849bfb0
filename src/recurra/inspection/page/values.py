"""The values of one row of a recording, place by place, as arrays of steps by units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recurra.graph import Graph
from recurra.inspection.page.units import by_variance
from recurra.inspection.ranges import bounds
from recurra.inspection.recording import Recording

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class PlaceValues:
    """One place of a recording.

    Attributes:
        name: such as "rnn.0.forward".
        graph: the equations of its cell.
        values: name -> (T, size), in the order of the equations; what is before an activation last.
        before: name of a state -> (size,) before the first step.
        dropped: values that are no vector in a step, such as the memory of the mLSTM.
    """

    name: str
    graph: Graph
    values: Mapping[str, Array]
    before: Mapping[str, Array]
    dropped: tuple[str, ...] = ()

    @property
    def reverse(self) -> bool:
        """Whether the sequence is read from its end."""
        return self.name.endswith(".reverse")

    @property
    def steps(self) -> int:
        """T."""
        return len(next(iter(self.values.values())))

    @property
    def size(self) -> int:
        """H: units of the widest value."""
        return max(array.shape[1] for array in self.values.values())

    def numbers(self) -> int:
        """How many numbers the heat maps of this place hold."""
        return sum(a.size for name, a in self.values.items() if not name.endswith("_pre"))

    def _order(self) -> list[int]:
        """Units, the most variable first."""
        widest = [name for name, array in self.values.items() if array.shape[1] == self.size]
        states = [name for name in widest if name in self.before]
        return [int(unit) for unit in by_variance(self.values, (states or widest)[-1])]

    def most_variable(self, count: int, wished: Sequence[int]) -> list[int]:
        """`count` units, those asked for among them, in their own order."""
        first = [unit for unit in wished if unit < self.size]
        order = [unit for unit in self._order() if unit not in first]
        return sorted(first + order[: max(0, count - len(first))])

    def kept(self, share: float, wished: Sequence[int]) -> list[int]:
        """The units that a page keeps, in their own order."""
        if share >= 1:
            return list(range(self.size))
        return self.most_variable(max(1, int(share * self.size)), wished)

    def scale(self, name: str) -> tuple[tuple[float, float] | None, str]:
        """The bounds that follow from the equation of a value, and its outermost operation."""
        node = dict(self.graph.named).get(name)
        if node is None:
            return None, ""
        low, high = bounds(self.graph)[node]
        limit = (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None
        return limit, node.op


def _array(tensor: Tensor) -> Array:
    return tensor.detach().to("cpu").float().numpy()


def place_values(recording: Recording, row: int, window: tuple[int, int, int]) -> list[PlaceValues]:
    """All places of a recording of which something was recorded."""
    start, stop, _ = window
    found = []
    for name, part in recording.parts.items():
        prefix = f"{name}."
        values = {
            address.removeprefix(prefix): _array(tensor[start:stop, row])
            for address, tensor in recording.values.items()
            if address.startswith(prefix)
        }
        dropped = tuple(key for key, a in values.items() if a.ndim != 2 or not a.shape[1])
        values = {key: a for key, a in values.items() if key not in dropped}
        if not values:
            continue
        before = {
            address.removeprefix(prefix): _array(tensor[row])
            for address, tensor in recording.before.items()
            if address.startswith(prefix) and tensor.dim() == 2
        }
        if start and not name.endswith(".reverse"):
            before |= {
                key: _array(recording.values[prefix + key][start - 1, row])
                for key in before
                if prefix + key in recording.values
            }
        ordered = _ordered(part.graph, values)
        found.append(PlaceValues(name, part.graph, ordered, before, dropped))
    return found


def _ordered(graph: Graph, values: Mapping[str, Array]) -> dict[str, Array]:
    """Values in the order of the equations, then the others, then those before activations."""
    names = [name for name, _ in graph.named]
    rank = {name: k for k, name in enumerate(names)}
    key = lambda name: (name.endswith("_pre"), rank.get(name.removesuffix("_pre"), len(names)))  # noqa: E731
    return {name: values[name] for name in sorted(values, key=key)}

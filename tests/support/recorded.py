"""What a recorder must give: a layer with all its options, row by row and step by step in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.graph import Graph
from recurra.graph.facts import below
from recurra.nn import Recurrent
from support import naive

ACTIVATIONS = ("sigmoid", "tanh", "relu", "softplus", "exp")


class Loop:
    """One call of a layer in evaluation mode.

    Args:
        layer: to be run.
        x: (T, B, I).
        state: as the layer takes it; None for zero, or what it has learned.
        lengths: (B,).
        reset: (T, B) bool.
        inputs: (T, B, size) each.
    """

    def __init__(
        self,
        layer: Recurrent,
        x: Tensor,
        state: Any = None,
        lengths: list[int] | None = None,
        reset: Tensor | None = None,
        inputs: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.layer, self.state, self.reset = layer, state, reset
        steps, self.rows = x.shape[:2]
        self.lengths = lengths or [steps] * self.rows
        self.values: dict[str, np.ndarray] = {}
        self.before: dict[str, np.ndarray] = {}
        extra = {name: value.numpy() for name, value in (inputs or {}).items()}
        handed = {d: dict[str, np.ndarray]() for d in layer.directions}
        read, place = x.numpy(), 0
        for number in range(layer.num_layers):
            outputs = []
            for direction in layer.directions:
                own = {**extra, **handed[direction], "x": read}
                output, named = self._place(number, direction, place, own)
                for name, value in named.items():
                    self.values[f"rnn.{number}.{direction}.{name}"] = value
                handed[direction] = {leaf: named[n] for leaf, n in layer.handed_on.items()}
                outputs.append(output)
                place += 1
            joined = np.concatenate(outputs, -1)
            read = joined + read if layer.residual and joined.shape == read.shape else joined
        self.output = read

    def _starts(self, number: int, direction: str, place: int) -> list[np.ndarray]:
        """For each state (B, size)."""
        found = []
        given = (self.state,) if isinstance(self.state, Tensor) else self.state
        for k, name in enumerate(self.layer.graph.state_names):
            if given is not None:
                found.append(given[k][place].numpy())
                continue
            found.append(self._fresh(name, number, direction))
        return found

    def _fresh(self, name: str, number: int, direction: str) -> np.ndarray:
        shape = self.layer.state_shape(name)
        if not self.layer.learn_initial_state:
            return np.zeros((self.rows, *shape))
        suffix = f"_l{number}" + ("_reverse" if direction == "reverse" else "")
        start = getattr(self.layer, f"initial_{name}{suffix}").detach().numpy()
        return np.broadcast_to(start, (self.rows, *shape))

    def _place(
        self, number: int, direction: str, place: int, read: dict[str, np.ndarray]
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        layer, graph = self.layer, self.layer.graph
        suffix = "_l0" if layer.tied else f"_l{number}"
        weights = layer.weights(suffix + ("_reverse" if direction == "reverse" else ""))
        fixed = {
            leaf: weights[leaf.attribute].detach().numpy()
            for leaf in (*graph.parameters, *graph.leaves("fixed"))
        }
        starts = self._starts(number, direction, place)
        for name, start in zip(graph.state_names, starts, strict=True):
            self.before[f"rnn.{number}.{direction}.{name}"] = start
        steps = read["x"].shape[0]
        for leaf in below(graph):
            size = layer.sizes[graph.shape(leaf)[0]]
            read.setdefault(str(leaf.attribute), np.zeros((steps, self.rows, size)))
        found: dict[str, np.ndarray] = {}
        for row, length in enumerate(self.lengths):
            states = [start[row : row + 1] for start in starts]
            order = range(length) if direction == "forward" else reversed(range(length))
            for read_so_far, t in enumerate(order):
                if self._anew(t, row, length, direction):
                    names = graph.state_names
                    states = [self._fresh(n, number, direction)[row : row + 1] for n in names]
                now = {n: v[t, row : row + 1] for n, v in read.items()}
                now["t"] = np.full((1, 1), float(read_so_far))
                states, values = self._step(graph, fixed, now, states)
                for name, value in values.items():
                    room = np.zeros((steps, self.rows, *value.shape[1:]))
                    found.setdefault(name, room)[t, row] = value[0]
        return found.pop(""), found

    def _anew(self, t: int, row: int, length: int, direction: str) -> bool:
        """Whether a sequence begins here, read in this direction."""
        if self.reset is None:
            return False
        if direction == "forward":
            return bool(self.reset[t, row])
        return t + 1 < length and bool(self.reset[t + 1, row])

    def _step(
        self, graph: Graph, fixed: Any, now: Any, states: list[np.ndarray]
    ) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
        known = {**fixed, **dict(zip(graph.states, states, strict=True))}
        known |= {leaf: now[leaf.attribute] for leaf in graph.inputs}
        sizes = SimpleNamespace(sizes={"I": now["x"].shape[-1], **self.layer.sizes})
        values = naive.evaluate(graph, known, sizes)  # type: ignore[arg-type]
        after, new = [], {}
        for state, update, old in zip(graph.states, graph.updates, states, strict=True):
            z = self.layer.zoneout.get(state.attribute, 0.0)
            new[state.attribute] = z * old + (1 - z) * values[update]
            after.append(new[state.attribute])
        named = {name: values[node] for name, node in graph.named} | new
        for name, node in graph.named:
            if node.op in ACTIVATIONS and node.args[0].args:
                named[f"{name}_pre"] = values[node.args[0]]
        is_state = graph.output in graph.updates
        named[""] = after[graph.updates.index(graph.output)] if is_state else values[graph.output]
        return after, named


def as_tensors(values: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in values.items()}

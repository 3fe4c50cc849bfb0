"""A recurrent layer one step at a time: all its layers, from one (B, I) to one (B, H)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from recurra.backends import Given, Stepwise
from recurra.errors import UsageError
from recurra.graph import Graph
from recurra.graph.facts import below
from recurra.nn.dropout import dropout
from recurra.nn.recurrent import Recurrent

States = list[tuple[Tensor, ...]]


class Stepping:
    """What a call needs of a layer in every step, gathered once.

    Args:
        layer: one direction, without variational masks and zoneout.
        states: for each layer its states, each (B, size), with which the call begins.
    """

    def __init__(self, layer: Recurrent, states: States) -> None:
        self._layer = layer
        self._sizes = {  # of what a layer reads of the one below, beside its output
            str(leaf.attribute): layer.sizes[layer.graph.shape(leaf)[0]]
            for leaf in below(layer.graph)
        }
        self._reads_time = any(leaf.attribute == "t" for leaf in layer.graph.inputs)
        rows = states[0][0].shape[0]
        graph = _showing(layer.graph, tuple(layer.handed_on.values()))
        self._steps = [
            Stepwise(graph, layer.weights(suffix), Given(1, rows, {}, {}, own))
            for (_, _, suffix), own in zip(layer.places(), states, strict=True)
        ]

    def __call__(self, x: Tensor, states: States, t: int) -> tuple[Tensor, States]:
        """One step: x (B, I) and the states of all layers give the output (B, H) and new states.

        Args:
            x: (B, I).
            states: for each layer its states, each (B, size).
            t: index of the step, for cells that read the time.
        """
        after = []
        handed = {name: x.new_zeros(x.shape[0], self._sizes[name]) for name in self._sizes}
        for number, (step, own) in enumerate(zip(self._steps, states, strict=True)):
            if number:
                x = dropout(x, self._layer.dropout, self._layer.training)
            sequences = {"x": x, **handed}
            if self._reads_time:
                sequences["t"] = torch.full_like(x[:, :1], t)
            x, results = step(sequences, own)
            after.append(results[: len(own)])
            handed = dict(zip(self._sizes, results[len(own) :], strict=True))
        return x, after


@lru_cache(maxsize=64)
def _showing(graph: Graph, shown: tuple[str, ...]) -> Graph:
    """The graph with more values given out; one object for equal calls, as plans are kept by it."""
    return replace(graph, shown=shown) if shown else graph


def check_steppable(layer: Recurrent) -> None:
    """Refuse a cell that reads another sequence beside x.

    Raises:
        UsageError: it does.
    """
    known = ("x", "t", *layer.handed_on)
    others = [leaf.attribute for leaf in layer.graph.inputs if leaf.attribute not in known]
    if others:
        raise UsageError(
            f"cell {layer.cell.name} also reads {', '.join(map(str, others))}; a decoder with "
            "attention gives its cell one input. Take a cell that reads x alone."
        )

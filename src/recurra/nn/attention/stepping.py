"""A recurrent layer one step at a time: all its layers, from one (B, I) to one (B, H)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from recurra.backends import Given, Stepwise
from recurra.errors import UsageError
from recurra.graph.facts import below
from recurra.graph.rewrite import with_shown
from recurra.nn.dropout import dropout
from recurra.nn.recurrent import Recurrent
from recurra.nn.visitor import Place, added_inputs, go_on, rewritten, tell
from recurra.nn.weighted import DIRECTIONS

States = list[tuple[Tensor, ...]]


class Stepping:
    """What a call needs of a layer in every step, gathered once.

    Args:
        layer: one direction, without variational masks and zoneout.
        states: for each layer its states, each (B, size), with which the call begins.
    """

    def __init__(self, layer: Recurrent, states: States) -> None:
        self._layer, self._before = layer, states
        self._sizes = {  # of what a layer reads of the one below, beside its output
            str(leaf.attribute): layer.sizes[layer.graph.shape(leaf)[0]]
            for leaf in below(layer.graph)
        }
        self._reads_time = any(leaf.attribute == "t" for leaf in layer.graph.inputs)
        rows = states[0][0].shape[0]
        handed = tuple(layer.handed_on.values())
        self._places = [Place(number, DIRECTIONS[0]) for number in range(layer.num_layers)]
        self._graphs = [
            with_shown(graph, (*handed, *graph.shown))
            for place in self._places
            for graph in [rewritten(layer.visitors, layer.graph, place)]
        ]
        self._steps = [
            Stepwise(graph, layer.weights(suffix), Given(1, rows, {}, {}, own))
            for (_, _, suffix), graph, own in zip(layer.places(), self._graphs, states, strict=True)
        ]
        self._shown: list[list[tuple[Tensor, ...]]] = [[] for _ in self._steps]

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
            sequences = {"x": x, **handed, **self._added(number, x)}
            if self._reads_time:
                sequences["t"] = torch.full_like(x[:, :1], t)
            x, results = step(sequences, own)
            after.append(results[: len(own)])
            shown = results[len(own) :]
            handed = dict(zip(self._sizes, shown, strict=False))
            if self._layer.visitors:
                self._shown[number].append(shown)
        go_on(self._layer.visitors, 1)
        return x, after

    def _added(self, number: int, x: Tensor) -> dict[str, Tensor]:
        """What visitors give to a layer in this step, each (B, size)."""
        if not self._layer.visitors:
            return {}
        place = self._places[number]
        added = added_inputs(self._layer.visitors, self._layer.graph, place, x.unsqueeze(0))
        return {name: value.squeeze(0) for name, value in added.items()}

    def finish(self, lengths: Tensor | None, further: Mapping[str, Tensor]) -> None:
        """Tell the visitors of the layer what all steps gave.

        Args:
            lengths: (B,) steps of each row; None if all have them all.
            further: sequences (T, B, size) of the last layer that its equations do not name.
        """
        for place, graph, shown, own in zip(
            self._places, self._graphs, self._shown, self._before, strict=True
        ):
            if shown:
                sequences = map(torch.stack, zip(*shown, strict=True))
                values = dict(zip(graph.shown, sequences, strict=True))
                last = further if place == self._places[-1] else {}
                tell(self._layer.visitors, graph, place, values, own, lengths, last)


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

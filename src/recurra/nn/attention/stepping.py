"""A recurrent layer one step at a time: all its layers, from one (B, I) to one (B, H)."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.backends import Given, Stepwise
from recurra.errors import UsageError
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
        self._reads_time = any(leaf.attribute == "t" for leaf in layer.graph.inputs)
        rows = states[0][0].shape[0]
        self._steps = [
            Stepwise(layer.graph, layer.weights(suffix), Given(1, rows, {}, {}, own))
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
        for number, (step, own) in enumerate(zip(self._steps, states, strict=True)):
            if number:
                x = dropout(x, self._layer.dropout, self._layer.training)
            sequences = {"x": x}
            if self._reads_time:
                sequences["t"] = torch.full_like(x[:, :1], t)
            x, new = step(sequences, own)
            after.append(new)
        return x, after


def check_steppable(layer: Recurrent) -> None:
    """Refuse a cell that reads another sequence beside x.

    Raises:
        UsageError: it does.
    """
    others = [leaf.attribute for leaf in layer.graph.inputs if leaf.attribute not in ("x", "t")]
    if others:
        raise UsageError(
            f"cell {layer.cell.name} also reads {', '.join(map(str, others))}; a decoder with "
            "attention gives its cell one input. Take a cell that reads x alone."
        )

"""Recordings for tests of the page: random values in the place of a run, made at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from recurra import cells
from recurra.inspection import Part, Recording
from recurra.inspection.values import observable

TEXT = "The cat sat on the mat. "


def recorded(
    steps: int = 24,
    units: int = 8,
    layers: int = 1,
    cell: str = "lstm",
    items: Sequence[str] | None = None,
    rows: int = 1,
    reverse: bool = False,
    before: bool = True,
) -> Recording:
    """A recording of a cell whose values are random, within what their equations allow."""
    graph = cells.get(cell).graph
    generator = torch.Generator().manual_seed(1)
    values, states, parts = {}, {}, {}
    for layer in range(layers):
        for direction in ("forward", "reverse")[: 2 if reverse else 1]:
            place = f"rnn.{layer}.{direction}"
            parts[place] = Part(cell, graph, {"H": units, "I": 4}, layer, direction)
            for name, node in observable(graph).items():
                drawn = torch.randn(steps, rows, units, generator=generator)
                squash = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}.get(node.op)
                values[f"{place}.{name}"] = squash(2 * drawn) if squash else drawn
            for state in graph.state_names:
                states[f"{place}.{state}"] = torch.full((rows, units), 0.25 * before)
    text = items if items is not None else [TEXT[t % len(TEXT)] for t in range(steps)]
    return Recording(values, states, parts, items=(tuple(text),) * rows)


def predicting(recording: Recording) -> Recording:
    """The recording of a model that scores the next item."""
    vocabulary = tuple(sorted(set(recording.items[0])))
    generator = torch.Generator().manual_seed(2)
    size = (recording.steps, recording.rows, len(vocabulary))
    return replace(
        recording, logits=3 * torch.randn(size, generator=generator), vocabulary=vocabulary
    )

"""Two units over three steps: a cell by hand in plain Python beside the library's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from recurra.nn import Recurrent
from support.plain import Vector, Weights

Step = Callable[..., tuple[Vector, tuple[Vector, ...]]]

INPUTS = ([1.0, -0.5], [-2.0, 0.8], [-0.3, 0.6])
BELOW = ([0.4, -0.9], [0.6, 0.2], [-0.7, 0.5])
BEFORE = ([0.2, -0.4], [0.5, -0.3], [-0.6, 0.1], [0.7, 0.4], [-0.2, 0.9])


def agree(name: str, states: int, function: Step, below: str | None = None) -> None:
    """Outputs and last states of the library are those of `function`, to 1e-12.

    Args:
        name: of the cell.
        states: how many it has.
        function: one step: it takes the weights by name, x, the value of the layer below if the
            cell reads one, the index of the step, and the states; it gives the output and the new
            states.
        below: the input that brings the value of the layer below.
    """
    w = Weights()
    after: tuple[Vector, ...] = BEFORE[:states]
    outputs = []
    for t, x in enumerate(INPUTS):
        output, after = function(w, x, *([BELOW[t]] if below else []), t, *after)
        outputs.append(output)
    found, last = _library(name, w, states, below)
    for ours, expected in zip([*found, *last], [*outputs, *after], strict=True):
        assert ours == pytest.approx(expected, abs=1e-12)


def _library(
    name: str, w: Weights, states: int, below: str | None
) -> tuple[list[Vector], list[Vector]]:
    layer = Recurrent(name, 2, 2, dtype=torch.float64)
    assert set(layer.weight_names) == set(w)
    for weight, value in w.items():
        layer.set_weight(weight, torch.tensor(value, dtype=torch.float64))
    options: dict[str, Any] = {"inputs": {below: _sequence(BELOW)}} if below else {}
    before = [torch.tensor(state, dtype=torch.float64).view(1, 1, 2) for state in BEFORE[:states]]
    output, after = layer(_sequence(INPUTS), tuple(before) if states > 1 else before[0], **options)
    after = after if isinstance(after, tuple) else (after,)
    return output[:, 0].tolist(), [state[0, 0].tolist() for state in after]


def _sequence(values: tuple[Vector, ...]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)

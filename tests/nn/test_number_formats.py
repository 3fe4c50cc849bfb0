"""Tensors in another number format than the weights are refused, on every backend."""

from __future__ import annotations

import pytest
import torch

from recurra import Recurrent
from recurra.backends.cpu.operands import text_of
from recurra.backends.cpu.operators import recurrence
from recurra.errors import UsageError
from recurra.graph import cell, tanh


@cell(state="h", shapes={"y": "H"})
def driven(p, x, y, h):
    h = tanh(p.W @ x + p.U @ h) + y
    return h


@pytest.mark.parametrize("steps", [2, 500])  # on the reference, and in kernels
@pytest.mark.parametrize("formats", [("double", "float"), ("float", "double"), ("half", "half")])
def test_states(steps, formats):
    layer = Recurrent("lstm", 4, 33)
    state = tuple(torch.zeros(1, 3, 33).to(getattr(torch, one)) for one in formats)
    with pytest.raises(UsageError, match=r"state [hc] is torch.\w+ on cpu and x is torch.float32"):
        layer(torch.zeros(steps, 3, 4), state)


@pytest.mark.parametrize("steps", [2, 500])
def test_further_inputs(steps):
    layer, y = Recurrent(driven, 4, 33), torch.zeros(steps, 3, 33, dtype=torch.float64)
    with pytest.raises(UsageError, match=r"inputs\['y'\] is torch.float64 on cpu and x is"):
        layer(torch.zeros(steps, 3, 4), inputs={"y": y})


def test_the_operator_by_itself():
    graph, whole = Recurrent("lstm", 4, 8).graph, torch.zeros(2, 1, 32)
    tensors = [whole, torch.zeros(32, 8), torch.zeros(1, 8), torch.zeros(1, 8).double()]
    with pytest.raises(UsageError, match=r"got torch.float32, torch.float64"):
        recurrence(tensors, text_of(graph), 2)

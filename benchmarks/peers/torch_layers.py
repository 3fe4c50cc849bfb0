"""torch.nn.LSTM, GRU and RNN: in float32, under bfloat16 autocast, and their single-step cells."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from gate import Array
from peers import pytorch
from peers.base import Peer, Prepared, stepping
from problem import Problem, array, named, stacked

KINDS = {"lstm": "LSTM", "gru": "GRU", "elman": "RNN"}
GATES = {"lstm": "ifgo", "gru": "rzn", "elman": "h"}


class Layer(Peer):
    """The layer in float32; ragged batches as a PackedSequence."""

    autocast = False

    def prepare(self, problem: Problem) -> Prepared:
        """See `Peer`."""
        shape = problem.shape
        layer = getattr(nn, KINDS[problem.cell])(shape.I, shape.H)
        fill(layer, problem, "_l0")
        if problem.use == "step":
            return pytorch.steps(layer, problem)
        return pytorch.prepare(
            layer,
            problem,
            lambda: gradients(layer, problem.cell),
            packed=problem.ragged,
            autocast=self.autocast,
        )


class Autocast(Layer):
    """The layer under bfloat16 autocast, which keeps 8 bits of each number."""

    autocast = True
    tolerance = 0.1


class Cell(Peer):
    """torch.nn.LSTMCell, GRUCell, RNNCell."""

    def prepare(self, problem: Problem) -> Prepared:
        """See `Peer`."""
        shape = problem.shape
        cell = getattr(nn, KINDS[problem.cell] + "Cell")(shape.I, shape.H)
        fill(cell, problem, "")
        state: list[Any] = [None]

        def reset() -> None:
            state[0] = None

        def step(x: Tensor) -> Tensor:
            with torch.no_grad():
                state[0] = cell(x, state[0])
            found: Tensor = state[0][0] if isinstance(state[0], tuple) else state[0]
            return found

        return stepping(reset, step, list(problem.x.unbind()), array)


def fill(layer: nn.Module, problem: Problem, suffix: str) -> None:
    """Give a layer or cell the weights of the problem; of its two biases the second is 0."""
    gates = GATES[problem.cell]
    with torch.no_grad():
        for name, kind in (("weight_ih", "W"), ("weight_hh", "U"), ("bias_ih", "b")):
            layer.get_parameter(name + suffix).copy_(stacked(problem.weights, kind, gates))
        second = layer.get_parameter("bias_hh" + suffix).zero_()
        if "c_n" in problem.weights:  # torch's GRU keeps the bias inside the reset among these
            second[-problem.shape.H :] = problem.weights["c_n"]


def gradients(layer: nn.Module, cell: str) -> dict[str, Array]:
    """The gradient of each weight by its name in the equations."""
    gates = GATES[cell]
    found: dict[str, Array] = {}
    for name, kind in (("weight_ih", "W"), ("weight_hh", "U"), ("bias_ih", "b")):
        found |= named(array(layer.get_parameter(f"{name}_l0").grad), kind, gates)
    if cell == "gru":
        second = named(array(layer.get_parameter("bias_hh_l0").grad), "c", gates)
        found["d c_n"] = second["d c_n"]
    return found

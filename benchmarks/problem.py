"""What is computed in one entry: weights, inputs, and the answer of the reference in float64."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

import equations
from gate import Array
from recurra.backends import Given
from recurra.backends.reference import Reference
from recurra.nn import GRU, LSTM, RNN, Recurrent
from recurra.nn.call import Call
from recurra.nn.sequence import enter
from shapes import Shape

USES = {
    "training": "forward, backward, all gradients",
    "inference": "forward, nothing kept",
    "ragged-training": "lengths uniform in T/4..T; forward, backward, all gradients",
    "ragged-inference": "lengths uniform in T/4..T; forward, nothing kept",
    "step": "one step of a stream whose state is held",
}
_NAMESAKES = {"lstm": LSTM, "gru": GRU, "elman": RNN}


@dataclass(frozen=True)
class Problem:
    """One cell at one shape in one direction of use; the same numbers for every peer."""

    cell: str
    shape: Shape
    use: str

    @property
    def training(self) -> bool:
        """Whether gradients are asked for."""
        return self.use.endswith("training")

    @property
    def ragged(self) -> bool:
        """Whether rows have lengths of their own."""
        return self.use.startswith("ragged")

    @cached_property
    def layer(self) -> Recurrent:
        """A layer with the weights of the problem, float32: the one that a user would take."""
        torch.manual_seed(0)
        cell = equations.get(self.cell)
        letters = {letter for _, shape in cell.graph.leaf_shapes for letter in shape}
        sizes = dict.fromkeys(letters - {"I", "H"}, max(self.shape.H // 2, 1))
        layer = Recurrent(cell, self.shape.I, self.shape.H, sizes=sizes)
        if self.cell not in _NAMESAKES:
            return layer
        namesake: Recurrent = _NAMESAKES[self.cell](self.shape.I, self.shape.H)
        for name in layer.weight_names:
            namesake.set_weight(name, layer.weight(name).detach())
        return namesake

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Each weight by its name in the equations."""
        return {name: self.layer.weight(name).detach().clone() for name in self.layer.weight_names}

    @cached_property
    def x(self) -> Tensor:
        """(T, B, I), zero after the end of a row."""
        return self._normal(1, self.shape.I) * self.alive

    @cached_property
    def d(self) -> Tensor:
        """(T, B, H), the gradient of the output, zero after the end of a row."""
        return self._normal(2, self.layer.output_size) * self.alive

    @cached_property
    def inputs(self) -> dict[str, Tensor]:
        """The sequences that a cell reads beside x."""
        graph = self.layer.graph
        leaves = [leaf for leaf in graph.inputs if leaf.attribute not in ("x", "t")]
        sizes = {"I": self.shape.I, **self.layer.sizes}
        found = {}
        for number, leaf in enumerate(leaves):
            letters = graph.shape(leaf)
            values = self._normal(3 + number, sizes[letters[0]] if letters else 1)
            found[str(leaf.attribute)] = values * self.alive
        return found

    @cached_property
    def lengths(self) -> Tensor:
        """(B,) steps of each row; the first has all T."""
        if not self.ragged:
            return torch.full((self.shape.B,), self.shape.T)
        source = torch.Generator().manual_seed(4)
        low, high = self.shape.T // 4, self.shape.T + 1
        lengths = torch.randint(low, high, (self.shape.B,), generator=source)
        lengths[0] = self.shape.T
        return lengths

    @cached_property
    def alive(self) -> Tensor:
        """(T, B, 1), 1 before the end of a row."""
        return (torch.arange(self.shape.T).unsqueeze(1) < self.lengths).unsqueeze(-1).float()

    @property
    def expected(self) -> dict[str, Array]:
        """Output and gradients of the reference, in float64: "output", "d x", "d W_i" and so on."""
        found = _solution(Problem(self.cell, self.shape, "ragged-" * self.ragged + "training"))
        return found if self.training else {"output": found["output"]}

    def _normal(self, seed: int, size: int) -> Tensor:
        source = torch.Generator().manual_seed(seed)
        return torch.randn(self.shape.T, self.shape.B, size, generator=source)


@lru_cache(maxsize=24)
def _solution(problem: Problem) -> dict[str, Array]:
    """What the reference backend computes, in float64."""
    shape = problem.shape
    cell = equations.get(problem.cell)
    sizes = {letter: size for letter, size in problem.layer.sizes.items() if letter != "H"}
    layer = Recurrent(cell, shape.I, shape.H, sizes=sizes, dtype=torch.float64)
    for name, weight in problem.weights.items():
        layer.set_weight(name, weight.double())
    x = problem.x.double().requires_grad_()
    sequences, _ = enter(x, problem.lengths if problem.ragged else None, False, shape.I)
    call = Call(sequences, None, {k: v.double() for k, v in problem.inputs.items()}, 0)
    reads = call.read(sequences.x, layer.graph, "forward", {})
    state = layer.initial_state(shape.B)
    states = tuple(s[0] for s in (state if isinstance(state, tuple) else (state,)))
    given = Given(shape.T, shape.B, reads, {}, states)
    output, _ = Reference().run(layer.graph, layer.weights("_l0"), given)
    output.backward(problem.d.double())
    return {"output": array(output), "d x": array(x.grad), **gradients(layer)}


def array(tensor: Tensor | None) -> Array:
    """A copy as an array; of a gradient that is none, nothing, which the gate refuses."""
    if tensor is None:
        return np.empty(0)
    tensor = tensor.detach()
    found: Array = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy().copy()
    return found


def gradients(layer: Recurrent) -> dict[str, Array]:
    """The gradient of each weight of a layer, by "d " and its name in the equations."""
    found: dict[str, Array] = {}
    for stack in layer.stacks:
        parts = split(getattr(layer, f"{stack.name}_l0").grad, len(stack.members))
        for name, part in zip(stack.members, parts, strict=True):
            found.setdefault(f"d {name}", part)
    return found


def split(gradient: Tensor | None, count: int) -> list[Array]:
    """The parts of a stacked gradient; of a gradient that is none, nothing for each part."""
    if gradient is None:
        return [array(None)] * count
    return [array(part) for part in gradient.chunk(count)]


def stacked(weights: Mapping[str, Tensor], kind: str, gates: str) -> Tensor:
    """The weights of one kind in an order of gates: W_i over W_f over ..."""
    return torch.cat([weights[f"{kind}_{gate}"] for gate in gates])


def named(stack: Array, kind: str, gates: str) -> dict[str, Array]:
    """The way back, for a stacked gradient: {"d W_i": ..., "d W_f": ...}."""
    parts = np.split(stack, len(gates))
    return {f"d {kind}_{gate}": part for gate, part in zip(gates, parts, strict=True)}

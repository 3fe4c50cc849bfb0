"""Layers of PyTorch, ours among them, called alike: one way to train, one to infer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gate import Array, Results
from peers.base import Prepared, reading, stepping
from problem import Problem, array

Gradients = Callable[[], dict[str, Array]]


def prepare(
    layer: nn.Module,
    problem: Problem,
    gradients: Gradients,
    packed: bool = False,
    autocast: bool = False,
    **options: Any,
) -> Prepared:
    """Training or inference of a layer whose call gives (output, state).

    Args:
        layer: the layer, with the weights of the problem.
        problem: what to compute.
        gradients: reads the gradient of each weight by its name in the equations.
        packed: give the batch as a PackedSequence.
        autocast: run forward in bfloat16 where PyTorch's autocast does so.
        options: given to the layer in each call.
    """
    x = _pack(problem.x, problem) if packed else problem.x
    leaf = _data(x).detach().clone()
    given = _with_data(x, leaf)

    def forward() -> Any:
        with _autocast(autocast):
            return layer(given, **options)[0]

    if not problem.training:

        def infer() -> Any:
            with torch.no_grad():
                return forward()

        return reading(infer, lambda output: {"output": _array(output, problem)})
    d = _data(_pack(problem.d, problem) if packed else problem.d)
    leaf.requires_grad_()
    d = d.to(_data(forward()).dtype)

    def train() -> Any:
        layer.zero_grad()
        leaf.grad = None
        output = forward()
        _data(output).backward(d)
        return output

    def read(output: Any) -> Results:
        assert leaf.grad is not None
        d_x = _with_data(given, leaf.grad)
        return {"output": _array(output, problem), "d x": _array(d_x, problem), **gradients()}

    return reading(train, read)


def steps(layer: nn.Module, problem: Problem) -> Prepared:
    """Single steps of a layer, by a call for each: x is (1, B, I), the state goes back in."""
    state: list[Any] = [None]

    def reset() -> None:
        state[0] = None

    def step(x: Tensor) -> Tensor:
        with torch.no_grad():
            output, state[0] = layer(x, state[0])
        found: Tensor = output
        return found

    return stepping(reset, step, list(problem.x.split(1)), lambda output: array(output[0]))


def _autocast(on: bool) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16) if on else nullcontext()


def _pack(values: Tensor, problem: Problem) -> PackedSequence:
    return pack_padded_sequence(values, problem.lengths, enforce_sorted=False)


def _with_data(like: Tensor | PackedSequence, data: Tensor) -> Tensor | PackedSequence:
    """Other numbers in the form of a batch."""
    return like._replace(data=data) if isinstance(like, PackedSequence) else data


def _data(values: Tensor | PackedSequence) -> Tensor:
    return values.data if isinstance(values, PackedSequence) else values


def _array(values: Tensor | PackedSequence, problem: Problem) -> Array:
    """(T, B, ·), padded with zeros."""
    if isinstance(values, PackedSequence):
        values, _ = pad_packed_sequence(values, total_length=problem.shape.T)
    return array(values)

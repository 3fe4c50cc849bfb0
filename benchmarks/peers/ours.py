"""recurra: a layer, the same on a PackedSequence, and its single-step doors."""

from __future__ import annotations

from typing import Any

import torch

from peers import pytorch
from peers.base import LeftOutError, Peer, Prepared, stepping
from problem import Problem, array, gradients


class Layer(Peer):
    """A layer; ragged batches by `lengths=`, single steps by `layer.stream`."""

    def prepare(self, problem: Problem) -> Prepared:
        """See `Peer`."""
        if problem.use == "step":
            return _stream(problem)
        options: dict[str, Any] = {"lengths": problem.lengths} if problem.ragged else {}
        if problem.inputs:
            options["inputs"] = problem.inputs
        layer = problem.layer
        return pytorch.prepare(layer, problem, lambda: gradients(layer), **options)


class Packed(Layer):
    """A layer on a PackedSequence."""

    def prepare(self, problem: Problem) -> Prepared:
        """See `Peer`."""
        if problem.inputs:
            raise LeftOutError("a PackedSequence carries x only, and this cell reads more")
        layer = problem.layer
        return pytorch.prepare(layer, problem, lambda: gradients(layer), packed=True)


class Call(Layer):
    """Single steps by an ordinary call for each."""

    def prepare(self, problem: Problem) -> Prepared:
        """See `Peer`."""
        return pytorch.steps(problem.layer, problem)


def _stream(problem: Problem) -> Prepared:
    layer: Any = problem.layer
    if not hasattr(layer, "stream"):
        raise LeftOutError("this version of recurra has no layer.stream")
    stream = layer.stream(problem.shape.B)

    def step(x: Any) -> Any:
        with torch.no_grad():
            return stream.step(x)

    return stepping(stream.reset, step, list(problem.x.unbind()), array)

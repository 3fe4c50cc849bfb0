"""Values of a recording that were not recorded themselves, computed from those that were."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.backends.rules import RULES
from recurra.graph import Expression
from recurra.inspection.layers import layers
from recurra.inspection.recording import Part, Recording
from recurra.inspection.values import observable
from recurra.nn import from_torch
from recurra.nn.sequence import Sequences
from recurra.nn.weighted import Weighted


class Missing(LookupError):  # noqa: N818  (no fault: not everything is recorded)
    """What is needed is neither recorded nor a weight of a model at hand; the text names it."""


class Values:
    """The values of one layer and direction of a recording, by their expressions.

    Everything is (T, B, size) in the order of time, anything behind the end of a row.

    Args:
        recording: what was recorded.
        part: its layer and direction, such as "rnn.0.forward".
    """

    def __init__(self, recording: Recording, part: str) -> None:
        self.recording, self.part = recording, part
        self.facts: Part = recording.parts[part]
        self._known: dict[Expression, Tensor] = {}
        self._weights: dict[str, Tensor] | None = None
        for name, value in observable(self.facts.graph).items():
            if f"{part}.{name}" in recording:
                self._known.setdefault(value, recording[f"{part}.{name}"])

    def __call__(self, node: Expression) -> Tensor | float:
        """The value of an expression of the graph.

        Raises:
            Missing: something that it needs is not there.
        """
        if node not in self._known:
            value = self._leaf(node) if not node.args else self._computed(node)
            if not isinstance(value, Tensor):
                return value
            self._known[node] = value
        return self._known[node]

    def sequence(self, node: Expression, size: int) -> Tensor:
        """The value of an expression as (T, B, size), also if it is the same for steps or rows."""
        value, like = self(node), self.like
        tensor = value if isinstance(value, Tensor) else like.new_tensor(value)
        return tensor.expand(like.shape[0], like.shape[1], size)

    @property
    def like(self) -> Tensor:
        """Any value that was recorded of this part."""
        for value in self._known.values():
            if value.dim() >= 3:
                return value
        raise Missing(f"any value of {self.part}")

    @property
    def alive(self) -> Tensor:
        """(T, B) bool, on the device of the values."""
        return self.recording.alive.to(self.like.device)

    def in_order(self, value: Tensor) -> Tensor:
        """A sequence in the order in which the layer runs, from that of time; and back again."""
        if self.facts.direction == "forward":
            return value
        lengths = self.recording.lengths
        lengths = None if lengths is None else lengths.to(value.device)
        return Sequences(value, lengths, None).reversed(value)

    def start(self, state: str) -> Tensor:
        """(B, size): a state before its first step."""
        return self.recording.before[f"{self.part}.{state}"]

    def weight(self, name: str) -> Tensor:
        """A weight by its name in the equations.

        Raises:
            Missing: the recording was loaded, so that there is no model.
        """
        if self.recording.model is None:
            raise Missing(f"the weight {name}")
        if self._weights is None:
            path = self.part.rsplit(".", 2)[0]
            layer = weighted(layers(self.recording.model)[path])
            self._weights = weights_of(layer, self.facts.layer, self.facts.direction)
        return self._weights[name]

    def _computed(self, node: Expression) -> Tensor | float:
        shapes = self.facts.graph.shapes
        args = [self(arg) for arg in node.args]
        if node.op == "spread":
            return RULES["spread"](self._tensor(args[0]), self.facts.sizes[str(node.attribute)])
        if len(shapes.get(node, ())) == 2:  # a scalar of a row times a matrix
            args = [
                arg.unsqueeze(-1) if isinstance(arg, Tensor) and not shapes[of] else arg
                for arg, of in zip(args, node.args, strict=True)
            ]
        if node.op in ("where", "exp", "sqrt", "log", "tanh", "sigmoid", "softplus"):
            args = [self._tensor(arg) for arg in args]
        return RULES[node.op](*args)

    def _tensor(self, value: Tensor | float) -> Tensor:
        return value if isinstance(value, Tensor) else self.like.new_tensor(value)

    def _leaf(self, node: Expression) -> Tensor | float:
        if node.op == "constant":
            return float(node.attribute)
        if node.op in ("parameter", "fixed"):
            return self.weight(str(node.attribute))
        if node.op == "state":
            return self._before(str(node.attribute))
        raise Missing(f"the {node.op} {node.attribute}")

    def _before(self, state: str) -> Tensor:
        """A state before each step."""
        address = f"{self.part}.{state}"
        if address not in self.recording:
            raise Missing(address)
        after = self.in_order(self.recording[address])
        before = torch.cat([self.start(state).unsqueeze(0), after[:-1]])
        return self.in_order(before)


def weights_of(layer: Weighted, place: int, direction: str) -> dict[str, Tensor]:
    """All weights of one layer and direction, trained or not, by their names in the equations."""
    found = layer.weights(layer.suffix(place, direction))
    fixed = [str(leaf.attribute) for leaf in layer.graph.leaves("fixed")]
    return {name: found[name].detach() for name in (*layer.weight_names, *fixed)}


def weighted(layer: Weighted | torch.nn.RNNBase) -> Weighted:
    """A layer of recurra, or the twin of a layer of torch, with its weights."""
    return layer if isinstance(layer, Weighted) else from_torch(layer)

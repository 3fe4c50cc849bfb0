"""Shortcuts: calls of a form that was met before go straight to the kernels of their backend.

A call asks much that has the same answer each time: the graph of its options, the backend, which
weights stand where. A shortcut remembers the answers for one form of a call, and computes the same
to the bit. It is for what most calls are: a batch of sequences of one length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra.backends import Given, Shortcut, choice, holds_values, observed, transformed
from recurra.graph.serial import loads
from recurra.nn.dropout import dropout as dropped
from recurra.nn.options import variant
from recurra.nn.state import State

if TYPE_CHECKING:
    from recurra.nn.recurrent import Recurrent

_MOST = 64  # forms that a layer remembers

Stored = list[Tensor]  # the parameters of a place


@dataclass(frozen=True, eq=False)
class _Way:
    """How a layer runs calls of one form.

    Attributes:
        places: for each layer its shortcut, and the names of its parameters.
        zeros: the states (B, size) with which a call begins that is given none.
    """

    places: tuple[tuple[Shortcut, tuple[str, ...]], ...]
    zeros: tuple[Tensor, ...]


_UNKNOWN = _Way((), ())


class Shortcuts:
    """The shortcuts of one layer. Its copies begin without any."""

    def __init__(self) -> None:
        self._ways: dict[object, _Way | None] = {}

    def __reduce__(self) -> tuple[type[Shortcuts], tuple[()]]:
        return Shortcuts, ()

    def run(
        self, layer: Recurrent, x: Tensor | PackedSequence, state: State | None
    ) -> tuple[Tensor, State] | None:
        """What a call gives that has neither lengths nor resets nor further inputs.

        None if there is no shortcut for it: the long way then says what is wrong, if anything is.
        """
        if type(x) is not Tensor or not _is_usual(layer, x):
            return None
        x = x.transpose(0, 1) if layer.batch_first else x
        way = self._way(layer, x)
        if way is None:
            return None
        before = _before(state, way, x)
        if before is None:
            return None
        weights: list[Stored] = []
        for shortcut, names in way.places:
            # What is no plain parameter (any more) does not fit.
            weights.append([layer._parameters.get(name) for name in names])  # type: ignore[misc]
            if not shortcut.fits(weights[-1]):
                return None
        x, after = x.contiguous(), []
        for number, (shortcut, _) in enumerate(way.places):
            if number:
                x = dropped(x, layer.dropout, layer.training)
            x, states = shortcut.run(x, weights[number], before[number])
            after.append(states)
        return x.transpose(0, 1) if layer.batch_first else x, _joined(after)

    def _way(self, layer: Recurrent, x: Tensor) -> _Way | None:
        """The way for x (T, B, I); None if there is none."""
        key = (x.shape, x.dtype, torch.get_num_threads(), choice.BACKENDS)
        way = self._ways.get(key, _UNKNOWN)
        if way is not _UNKNOWN:
            return way
        for parameter in layer._parameters.values():
            if parameter is None or parameter.dtype is not x.dtype or not parameter.is_cpu:
                return None  # for now
        if len(self._ways) >= _MOST:
            self._ways.clear()
        way = self._ways[key] = _made(layer, x.detach())
        return way


def _is_usual(layer: Recurrent, x: Tensor) -> bool:
    """Whether a call has nothing that a shortcut does not know, and nobody looks at operators."""
    return (
        not observed()
        and not transformed()
        and x.is_cpu
        and x.dim() == 3
        and x.shape[-1] == layer.input_size
        and holds_values(x)
        and not layer.has_options
        and not torch.is_autocast_enabled("cpu")
    )


@torch.inference_mode(False)
@torch.no_grad()
def _made(layer: Recurrent, x: Tensor) -> _Way | None:
    steps, rows = x.shape[:2]
    graph = loads(variant(layer.graph, False, (), False))
    if len(graph.inputs) > 1 or layer.fixed_names or layer.handed_on:
        return None
    backend = choice.chosen(graph, x.device, x.dtype, steps * rows * layer.hidden_size)
    names = layer.graph.state_names
    zeros = tuple(torch.zeros(rows, *layer.state_shape(n), dtype=x.dtype) for n in names)
    places = []
    for number, _, suffix in layer.places():
        read = torch.empty(steps, rows, layer.features(number), dtype=x.dtype)
        given = Given(steps, rows, {"x": read}, {}, zeros)
        shortcut = backend.shortcut(graph, layer.weights(suffix), given)
        if shortcut is None:
            return None
        places.append((shortcut, tuple(stack.name + suffix for stack in layer.stacks)))
    return _Way(tuple(places), zeros)


def _before(state: State | None, way: _Way, x: Tensor) -> Sequence[Sequence[Tensor]] | None:
    """The states (B, size) before the first step in each layer; None if they are not usual."""
    if state is None:
        return [way.zeros] * len(way.places)
    parts = (state,) if isinstance(state, Tensor) else state
    if type(parts) is not tuple or len(parts) != len(way.zeros):
        return None
    for part, zero in zip(parts, way.zeros, strict=True):
        if (
            not isinstance(part, Tensor)
            or part.shape != (len(way.places), *zero.shape)
            or part.dtype is not x.dtype
            or not part.is_cpu
            or not part.is_contiguous()
            or not holds_values(part)
        ):
            return None
    return list(zip(*(part.unbind(0) for part in parts), strict=True))


def _joined(after: Sequence[tuple[Tensor, ...]]) -> State:
    """The states of all layers, each (layers, B, size), from (1, B, size)."""
    if len(after) == 1:
        parts = after[0]
    else:
        parts = tuple(torch.cat(one) for one in zip(*after, strict=True))
    return parts if len(parts) > 1 else parts[0]

"""Shortcuts: calls of a form that was met before go straight to the kernels of their backend.

A call asks much that has the same answer each time: the graph of its options, the backend, which
weights stand where. A shortcut remembers the answers for one form of a call, and computes the same
to the bit, but for the order of one sum: the gradient of an x that both directions read several
times. It is for what most calls are: a batch of sequences, of one length or of several.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra.backends import (
    PLAIN,
    Given,
    Shortcut,
    Weights,
    choice,
    holds_values,
    transformed,
    zeros,
)
from recurra.graph.serial import loads
from recurra.nn.dropout import dropout as dropped
from recurra.nn.options import variant
from recurra.nn.sequence import Lengths, Sequences, counted, packed, padded
from recurra.nn.state import State
from recurra.nn.weighted import Weighted

if TYPE_CHECKING:
    from recurra.nn.recurrent import Recurrent

_MOST = 256  # forms that a layer remembers

Stored = list[Tensor]  # the parameters of a place
Ready = tuple[Shortcut, Stored, Sequence[Tensor]]  # of a place; the last are its first states


@dataclass(frozen=True, eq=False)
class _Known:
    """How a layer runs calls of one form.

    Attributes:
        places: for each layer its shortcut, and the names of its parameters.
        zeros: the states (B, size) with which a call begins that is given none.
    """

    places: tuple[tuple[Shortcut, tuple[str, ...]], ...]
    zeros: tuple[Tensor, ...]


_MISSING = _Known((), ())


class Shortcuts:
    """The shortcuts of one layer. Its copies begin without any."""

    def __init__(self) -> None:
        self._known: OrderedDict[object, _Known | None] = OrderedDict()

    def __reduce__(self) -> tuple[type[Shortcuts], tuple[()]]:
        return Shortcuts, ()

    def run(
        self,
        layer: Recurrent,
        x: Tensor | PackedSequence,
        state: State | None,
        lengths: Lengths = None,
    ) -> tuple[Tensor | PackedSequence, State] | None:
        """What a call gives that has neither resets nor further inputs.

        None if there is no shortcut for it: the long way then says what is wrong, if anything is.
        """
        if type(x) is PackedSequence:
            return self._run_packed(layer, x, state) if lengths is None else None
        if type(x) is not Tensor or not _is_usual(layer, x, 3):
            return None
        x = x.transpose(0, 1) if layer.batch_first else x
        known = self._of(layer, x.shape[0], x.shape[1], x.dtype)
        if known is None:
            return None
        ends = None if lengths is None else counted(lengths, *x.shape[:2])
        found = _run(layer, known, x, state, ends)
        if found is None or not layer.batch_first:
            return found
        return found[0].transpose(0, 1), found[1]

    def _run_packed(
        self, layer: Recurrent, x: PackedSequence, state: State | None
    ) -> tuple[PackedSequence, State] | None:
        if type(x.data) is not Tensor or not _is_usual(layer, x.data, 2) or not len(x.batch_sizes):
            return None
        known = self._of(layer, len(x.batch_sizes), int(x.batch_sizes[0]), x.data.dtype)
        if known is None:
            return None
        whole, ends = padded(x)
        found = _run(layer, known, whole, state, ends)
        return found and (packed(found[0], x), found[1])

    def _of(self, layer: Recurrent, steps: int, rows: int, dtype: torch.dtype) -> _Known | None:
        """What is known of calls of this form; None if they have no shortcut.

        While weights are not what the layer needs, nothing is learned.
        """
        key = (steps, rows, dtype, torch.get_num_threads(), choice.BACKENDS)
        known = self._known.get(key, _MISSING)
        if known is not _MISSING:
            return known
        weights = _weights(layer, dtype)
        if weights is None:
            return None
        if len(self._known) >= _MOST:
            self._known.popitem(last=False)
        known = self._known[key] = _made(layer, steps, rows, dtype, weights)
        return known


def _run(
    layer: Recurrent, known: _Known, x: Tensor, state: State | None, ends: Tensor | None
) -> tuple[Tensor, State] | None:
    """A call with x (T, B, I), and the lengths (B,) of its rows if they end."""
    before = _before(state, known, x)
    if before is None or (ends is not None and not _are_usual(ends)):
        return None
    weights: list[Stored] = []
    for shortcut, names in known.places:
        stored = [layer._parameters.get(name) for name in names]
        if not shortcut.fits(stored):
            return None
        weights.append(cast(Stored, stored))
    shortcuts = (shortcut for shortcut, _ in known.places)
    x, after = _through(layer, x, ends, zip(shortcuts, weights, before, strict=True))
    return x, _joined(after)


def _is_usual(layer: Recurrent, x: Tensor, dimensions: int) -> bool:
    """Whether a call has nothing that a shortcut does not know; x has so many dimensions."""
    return (
        not transformed()
        and x.is_cpu
        and x.layout is torch.strided
        and x.dim() == dimensions
        and x.shape[-1] == layer.input_size
        and holds_values(x)
        and not layer.has_options
        and not torch.is_autocast_enabled("cpu")
    )


def _are_usual(lengths: Tensor) -> bool:
    """Whether lengths (B,) are numbers in memory, and some row has a step."""
    return type(lengths) in PLAIN and lengths.is_cpu and lengths.numel() > 0 and bool(lengths.any())


def _weights(layer: Recurrent, dtype: torch.dtype) -> list[Weights] | None:
    """The weights of each place; None if one is no parameter of the size that the layer needs.

    Parameters are looked up, not asked for: what stands in the place of one may count its uses.
    """
    found = []
    for number, _, suffix in layer.places():
        stacks = []
        for stack, shape in zip(layer.stacks, layer.stored_shapes(number), strict=True):
            stored = layer._parameters.get(stack.name + suffix)
            if stored is None or stored.shape != shape or stored.dtype is not dtype:
                return None
            if type(stored) not in PLAIN or not stored.is_cpu:
                return None
            stacks.append((stack.members, stored))
        found.append(Weights(stacks, {}))
    return found


@torch.inference_mode(False)
@torch.no_grad()
def _made(
    layer: Recurrent, steps: int, rows: int, dtype: torch.dtype, weights: Sequence[Weights]
) -> _Known | None:
    device = torch.device("cpu")
    graph = loads(variant(layer.graph, False, (), False))
    own = type(layer).weights is not Weighted.weights  # a subclass gives others than it stores
    if own or len(graph.inputs) > 1 or layer.fixed_names or layer.handed_on:
        return None
    backend = choice.chosen(graph, device, dtype, steps * rows * layer.hidden_size)
    shapes = [(rows, *layer.state_shape(name)) for name in layer.graph.state_names]
    start = tuple(zeros(shape, dtype) for shape in shapes)
    places = []
    for (number, _, suffix), stored in zip(layer.places(), weights, strict=True):
        read = torch.empty(steps, rows, layer.features(number), dtype=dtype, device=device)
        shortcut = backend.shortcut(graph, stored, Given(steps, rows, {"x": read}, {}, start))
        if shortcut is None:
            return None
        places.append((shortcut, tuple(stack.name + suffix for stack in layer.stacks)))
    return _Known(tuple(places), start)


def _before(state: State | None, known: _Known, x: Tensor) -> Sequence[Sequence[Tensor]] | None:
    """The states (B, size) before the first step in each layer; None if they are not usual."""
    if state is None:
        return [known.zeros] * len(known.places)
    parts = (state,) if isinstance(state, Tensor) else state
    if type(parts) is not tuple or len(parts) != len(known.zeros):
        return None
    for part, zero in zip(parts, known.zeros, strict=True):
        if (
            type(part) not in PLAIN
            or part.shape != (len(known.places), *zero.shape)
            or part.dtype is not x.dtype
            or not part.is_cpu
            or not part.is_contiguous()
            or not holds_values(part)
        ):
            return None
    return list(zip(*(part.unbind(0) for part in parts), strict=True))


def _through(
    layer: Recurrent, x: Tensor, ends: Tensor | None, calls: Iterator[Ready]
) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
    """All layers and directions: the output (T, B, ·), and the states after the last step."""
    sequences = Sequences(x, ends, None)
    after = []
    for number in range(layer.num_layers):
        if number:
            x = dropped(x, layer.dropout, layer.training)
        outputs = []
        for direction in layer.directions:
            shortcut, stored, states = next(calls)
            own = x if direction == "forward" else sequences.reversed(x)
            output, last = shortcut.run(own.contiguous(), stored, states, ends)
            outputs.append(output if direction == "forward" else sequences.reversed(output))
            after.append(last)
        x = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
    return x, after


def _joined(after: Sequence[tuple[Tensor, ...]]) -> State:
    """The states of all layers, each (layers, B, size), from (1, B, size)."""
    if len(after) == 1:
        parts = after[0]
    else:
        parts = tuple(torch.cat(one) for one in zip(*after, strict=True))
    return parts if len(parts) > 1 else parts[0]

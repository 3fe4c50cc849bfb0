"""The recorder: one run of a model, with every named value kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import UnknownNameError, UsageError
from recurra.graph import Graph
from recurra.inspection.address import Address, chosen, parsed
from recurra.inspection.layers import module_of, visited
from recurra.inspection.recording import Part, Recording
from recurra.inspection.values import observable, showing
from recurra.nn.modes import evaluating
from recurra.nn.sequence import Lengths, before_end
from recurra.nn.visitor import Place, Visit, Visitor
from recurra.nn.weighted import Weighted


def record(
    model: Any,
    inputs: Any,
    names: str | Iterable[str] | None = None,
    lengths: Lengths = None,
) -> Recording:
    """Run a model once, in evaluation mode, and keep the values of its recurrent layers.

    Args:
        model: a layer of recurra, or any module that contains some, or `torch.nn.RNN`, `LSTM` and
            `GRU`. Layers of torch run once more through recurra's cells, from their own weights;
            what both give out is checked to be equal. A compiled model runs uncompiled. Or what
            `recurra.load` gave (its input is a text), or anything else with a method
            `record(inputs, names)`, which then does it.
        inputs: what the model takes: one argument, a tuple of them, or a mapping of them by name.
        names: what to keep: addresses or patterns, as "rnn.0.forward.f", "*.f", "f", "*_pre"; None
            for all values, before and after their activations. Few cost next to nothing. All
            units are kept, also where an address names some.
        lengths: (B,) steps of each row, given to the model as `lengths=`; for layers of torch give
            packed inputs instead.

    Returns:
        the recording; its tensors keep their gradients where those are being recorded.

    Raises:
        UsageError: the model has no recurrent layer, or ran none of them, or takes no lengths.
        UnknownNameError: a name that means no value of the model.
        WeightsError: a layer of torch whose equations give out something else than it does.

    Example:
        >>> import torch, recurra
        >>> recording = recurra.record(torch.nn.LSTM(4, 8), torch.randn(5, 2, 4), "f")
        >>> recording["rnn.0.forward.f"].shape
        torch.Size([5, 2, 8])
    """
    own = getattr(model, "record", None)
    if callable(own) and not isinstance(model, nn.Module):
        return _checked(own(inputs, names))
    model, tape = module_of(model), Tape(parsed(names))
    with evaluating(model), visited(model, tape.visitor, replacing=False):
        output = called(model, inputs, lengths)
    return tape.recording(model, output)


def _checked(recording: Any) -> Recording:
    assert isinstance(recording, Recording)
    return recording


def called(model: nn.Module, inputs: Any, lengths: Lengths) -> Any:
    """What the model gives out for `inputs`; see `record`.

    Raises:
        UsageError: it takes no lengths.
    """
    further = {} if lengths is None else {"lengths": lengths}
    if further and not _takes_lengths(model):
        raise UsageError(
            f"{type(model).__name__} has no argument lengths. Give it what "
            "torch.nn.utils.rnn.pack_padded_sequence makes of inputs and lengths, and no lengths."
        )
    if isinstance(inputs, Mapping):
        return model(**inputs, **further)
    if type(inputs) is tuple:
        return model(*inputs, **further)
    return model(inputs, **further)


def _takes_lengths(model: nn.Module) -> bool:
    taken = signature(model.forward).parameters
    return "lengths" in taken or any(one.kind is one.VAR_KEYWORD for one in taken.values())


class Tape:
    """What one run of a model leaves, call by call.

    Args:
        patterns: what to keep; None for all.
    """

    def __init__(self, patterns: list[Address] | None) -> None:
        self.patterns = patterns
        self._parts: dict[str, Part] = {}
        self._values: dict[str, list[Tensor]] = {}
        self._before: dict[str, Tensor] = {}
        self._lengths: dict[str, list[Tensor | None]] = {}
        self._known: dict[str, None] = {}

    def visitor(self, path: str, layer: Weighted) -> Visitor:
        """What records one layer."""
        return _Recorder(self, path, layer)

    def wanted(self, part: str, values: Iterable[str]) -> tuple[str, ...]:
        """The values of a part that are to be kept."""
        values = tuple(values)
        self._known |= dict.fromkeys(f"{part}.{name}" for name in values)
        return chosen(self.patterns, part, values)

    def add(self, name: str, part: Part, names: Iterable[str], visit: Visit) -> None:
        """Keep what one call of a part gave out; a further call goes on where the last ended."""
        self._parts.setdefault(name, part)
        self._lengths.setdefault(name, []).append(visit.lengths)
        for state, value in visit.before.items():
            self._before.setdefault(f"{name}.{state}", value)
        for wanted in names:
            value = (visit.values if wanted in visit.values else visit.further)[wanted]
            kept = _padded(value, visit.lengths)
            self._values.setdefault(f"{name}.{wanted}", []).append(kept)

    def recording(self, model: nn.Module, output: Any) -> Recording:
        """All of it.

        Raises:
            UsageError: no layer ran, or one ran with batches of several sizes.
            UnknownNameError: a pattern that means nothing.
        """
        if not self._parts:
            raise UsageError(
                f"{type(model).__name__} ran none of its recurrent layers for these inputs."
            )
        for pattern in self.patterns or ():
            if not any(pattern.matches(*known.rsplit(".", 1)) for known in self._known):
                raise UnknownNameError("value", str(pattern), self._known)
        values = {address: _joined(address, parts) for address, parts in self._values.items()}
        return Recording(
            values, self._before, self._parts, self._common_lengths(), output=output, model=model
        )

    def _common_lengths(self) -> Tensor | None:
        """The lengths of the first layer that has some, if it was called once."""
        found = [own[0] for own in self._lengths.values() if len(own) == 1 and own[0] is not None]
        return found[0] if found else None


class _Recorder(Visitor):
    """Keeps the values of one layer on a tape."""

    def __init__(self, tape: Tape, path: str, layer: Weighted) -> None:
        self._tape, self._path, self._layer = tape, path, layer
        self._plain: dict[Place, Graph] = {}

    def rewrite(self, graph: Graph, place: Place) -> Graph:
        """See `Visitor`."""
        self._plain[place] = graph
        return showing(graph, self._tape.wanted(f"{self._path}.{place}", observable(graph)))

    def visit(self, graph: Graph, place: Place, visit: Visit) -> None:
        """See `Visitor`."""
        name, layer, plain = f"{self._path}.{place}", self._layer, self._plain[place]
        sizes = {"I": layer.features(place.layer), **layer.sizes}
        own = Part(layer.cell.name, plain, sizes, *place)
        names = self._tape.wanted(name, (*observable(plain), *visit.further))
        self._tape.add(name, own, names, visit)


def _padded(value: Tensor, lengths: Tensor | None) -> Tensor:
    """The sequence (T, B, size) with 0 after the end of each row."""
    if lengths is None:
        return value
    alive = before_end(len(value), lengths)
    return value.where(alive.view(*alive.shape, *[1] * (value.dim() - 2)), value.new_zeros(()))


def _joined(address: str, parts: list[Tensor]) -> Tensor:
    """The sequences of several calls, one after the other."""
    if len(parts) == 1:
        return parts[0]
    if len({part.shape[1:] for part in parts}) > 1:
        raise UsageError(
            f"{address} ran {len(parts)} times, in batches of {[p.shape[1] for p in parts]} rows; "
            "only calls with the same rows make one recording. Record them one by one."
        )
    return torch.cat(parts)

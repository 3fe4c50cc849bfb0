"""Editing: named values of a model held, scaled or added to while it runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from recurra.errors import ShapeError, UnknownNameError, UsageError
from recurra.graph import Graph
from recurra.inspection.address import Address
from recurra.inspection.changes import Change, changed, free_tag, settled
from recurra.inspection.layers import module_of, visited
from recurra.inspection.values import observable
from recurra.nn.visitor import Place, Visitor
from recurra.nn.weighted import Weighted

Steps = int | slice | Iterable[int] | None


@dataclass(frozen=True, eq=False)
class Edit:
    """Abstract: what is done to a value.

    Args:
        value: a number; or a tensor (size,), the same in all steps and rows, or (T, B, size), with
            1 in the place of T or B for the same in all; over maps (T, B, *space, size). Behind an
            address of units, size counts these. T counts all steps, also those that are not
            changed. Gradients flow into it.
        steps: numbers of the steps that are changed: one, a slice, a range or a list; None: those
            that `edit` names.
    """

    value: float | Tensor
    steps: Steps = None
    kind: ClassVar[str] = ""


class Hold(Edit):
    """The value is `value`, whatever its equation says."""

    kind = "hold"


class Scale(Edit):
    """The value times `value`."""

    kind = "scale"


class Add(Edit):
    """The value plus `value`."""

    kind = "add"


class Editing:
    """What `edit` gives to its block."""

    def __init__(self) -> None:
        self._editors: list[_Editor] = []

    def restart(self) -> None:
        """The next call that is given a state begins at step 0, too."""
        for editor in self._editors:
            editor.position = 0

    def visitor(self, path: str, layer: Weighted, edits: list[_Edit]) -> Visitor:
        """What changes one layer."""
        self._editors.append(_Editor(path, layer, edits))
        return self._editors[-1]


@contextmanager
def edit(
    model: Any, edits: Mapping[str, float | Tensor | Edit], steps: Steps = None
) -> Iterator[Editing]:
    """Within it, values of a model are what you say.

    The change is written into the graph of each layer it concerns: what follows in the step is
    computed from the changed value, gradients go through it, recordings show it, and what a held
    gate was computed from is not computed any more. It holds for calls of the model, its streams
    and what it generates, in every thread. Edits of one block act in the order of the equations,
    those of one value in their own; an inner block acts on what an outer one has left.

    Args:
        model: a module with recurrent layers of recurra or torch, or what `recurra.load` gave;
            within the block nothing runs compiled.
        edits: by address or pattern ("rnn.0.forward.f", "*.f", "c[17]"): a number or tensor at
            which the value is held, or a `Hold`, `Scale` or `Add`. "f_pre" is f before its
            activation; a state is its value after the step, before zoneout. (The state before the
            first step is given to the model, as ever.)
        steps: numbers of the steps in which the edits act, of those that name none themselves:
            one, a slice, a range or a list; None: all. In both directions they count from the
            beginning of the sequence. A call that is given a state, and a stream, goes on counting
            where the last call in this block ended.

    Raises:
        UnknownNameError: an address that means no value of the model.
        UsageError: units that do not exist, or steps or values that are none.
        ShapeError: a value of another shape (of T or B: when the model runs).

    Example:
        >>> import torch, recurra
        >>> model, x = torch.nn.LSTM(4, 8), torch.randn(5, 2, 4)
        >>> with recurra.edit(model, {"f": 1.0, "h[3]": 0.0}, steps=slice(2, None)):
        ...     output, _ = model(x)
        >>> output[..., 3].count_nonzero(1).tolist()
        [2, 2, 0, 0, 0]
    """
    if not isinstance(edits, Mapping) or not all(isinstance(text, str) for text in edits):
        raise UsageError("edits are given as {address: value}, such as {'rnn.0.forward.f': 1.0}.")
    wanted = [_Edit.of(text, value, steps) for text, value in edits.items()]
    own, known, met = Editing(), list[str](), set[_Edit]()

    def visitor(path: str, layer: Weighted) -> Visitor:
        for number, direction, _ in layer.places():
            part = f"{path}.{Place(number, direction)}"
            for name in observable(layer.graph):
                known.append(f"{part}.{name}")
                for one in wanted:
                    if one.address.matches(part, name):
                        one.check(layer, number, name)
                        met.add(one)
        return own.visitor(path, layer, wanted)

    with visited(module_of(model), visitor, replacing=True):
        for one in wanted:
            if one not in met:
                raise UnknownNameError("value", str(one.address), known)
        yield own


@dataclass(frozen=True, eq=False)
class _Edit:
    """One entry of the edits."""

    text: str
    address: Address  # without units
    kind: str
    value: float | Tensor
    steps: Tensor | slice | None

    @classmethod
    def of(cls, text: str, given: float | Tensor | Edit, steps: Steps) -> _Edit:
        edit = given if isinstance(given, Edit) else Hold(given)
        value = edit.value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not edit.kind or not (isinstance(value, Tensor) or (number and not math.isnan(value))):
            raise UsageError(
                f"{text!r} cannot become {given!r}; give a number, a tensor, or Hold, Scale or Add "
                "of one."
            )
        chosen = steps if edit.steps is None else edit.steps
        return cls(text, Address.parse(text.partition("[")[0]), edit.kind, value, _steps(chosen))

    def units(self, size: int) -> tuple[int, ...] | None:
        """The units that are changed, of so many; None: all."""
        return Address.parse(self.text, size).units

    def check(self, layer: Weighted, number: int, name: str) -> None:
        """Refuse units that a value does not have, and tensors of another size.

        Raises:
            UsageError: units.
            ShapeError: the tensor.
        """
        sizes = _sizes(layer, number, layer.graph, name)
        units = self.units(sizes[-1])
        if units is not None and len(sizes) > 1:
            raise UsageError(f"{self.text!r}: {name} is a matrix; change all of it.")
        if isinstance(self.value, Tensor) and self.value.dim():
            own = sizes if units is None else (len(units),)
            given = tuple(self.value.shape)
            if given[-len(own) :] != own or len(own) < len(given) < len(own) + 2:
                raise ShapeError(
                    f"{self.text!r}: the value has the shape {given}; it needs {own}, or "
                    f"(T, B, {', '.join(map(str, own))}) with 1 in the place of T or B for the "
                    "same in all."
                )

    def change(self, name: str, sizes: tuple[int, ...], tag: int) -> Change:
        """What becomes of the graph."""
        units = self.units(sizes[-1])
        chosen = "units" if units is not None else "steps" if self.steps is not None else ""
        number = None if isinstance(self.value, Tensor) else float(self.value)
        wide = number is not None or (isinstance(self.value, Tensor) and not self.value.dim())
        return Change(name, self.kind, number, wide, chosen, tag)

    def where(self, x: Tensor, sizes: tuple[int, ...], first: int) -> Tensor:
        """(T or 1, 1, ..., size or 1): 1 where the value is changed."""
        units, steps = self.units(sizes[-1]), self._acts(x, first).to(x.dtype)
        along = steps.view(-1, *[1] * (x.dim() - 1))
        if units is None:
            return along
        chosen = x.new_zeros(sizes)
        chosen[list(units)] = 1
        return along * chosen

    def sequence(self, x: Tensor, sizes: tuple[int, ...], first: int) -> Tensor:
        """The tensor of the steps from `first` on, for all units.

        Raises:
            ShapeError: it has other rows than x, or too few steps.
        """
        assert isinstance(self.value, Tensor)
        value, lead = self.value.to(x), x.dim() - 1
        units = self.units(sizes[-1])
        if not value.dim():
            return value.view([1] * x.dim())
        if units is not None:
            room = value.new_zeros(*value.shape[:-1], *sizes)
            places = torch.tensor(units, device=value.device)
            value = room.index_copy(-1, places, value)
        if value.dim() == len(sizes):
            return value.view(*[1] * lead, *sizes)
        steps = len(x) if value.shape[0] == 1 else value.shape[0] - first
        fits = value.dim() == lead + len(sizes) and value.shape[1] in (1, x.shape[1])
        if not fits or self._acts(x, first)[max(steps, 0) :].any():
            raise ShapeError(
                f"{self.text!r}: the value has the shape {tuple(self.value.shape)}; the call reads "
                f"the steps {first} to {first + len(x) - 1} of {x.shape[1]} rows, and a value "
                "needs (T, B, ...) for them, 1 for the same in all."
            )
        if value.shape[0] == 1:
            return value
        index = torch.arange(first, first + len(x), device=value.device)
        return value.index_select(0, index.clamp(max=len(value) - 1))

    def _acts(self, x: Tensor, first: int) -> Tensor:
        """(T,) bool: whether a step is changed."""
        index = torch.arange(first, first + len(x), device=x.device)
        if self.steps is None:
            return torch.ones_like(index, dtype=torch.bool)
        if isinstance(self.steps, Tensor):
            return torch.isin(index, self.steps.to(index))
        low, high, by = self.steps.start or 0, self.steps.stop, self.steps.step or 1
        inside = (index >= low) & ((index - low) % by == 0)
        return inside if high is None else inside & (index < high)


class _Editor(Visitor):
    """Changes the values of one layer."""

    def __init__(self, path: str, layer: Weighted, edits: list[_Edit]) -> None:
        self._path, self._layer, self._edits = path, layer, edits
        self._rewritten: dict[Place, tuple[Change, ...]] = {}
        self._found: dict[tuple[Graph, Place], list[tuple[_Edit, Change, tuple[int, ...]]]] = {}

    def rewrite(self, graph: Graph, place: Place) -> Graph:
        """See `Visitor`."""
        self._rewritten[place] = tuple(change for _, change, _ in self._changes(graph, place))
        return changed(graph, self._rewritten[place])

    def finish(self, graph: Graph, place: Place) -> Graph:
        """See `Visitor`."""
        return settled(graph, self._rewritten[place])

    def inputs(self, graph: Graph, place: Place, x: Tensor) -> Mapping[str, Tensor]:
        """See `Visitor`."""
        found = {}
        for edit, change, sizes in self._changes(graph, place):
            if change.number is None:
                found[change.value_name] = edit.sequence(x, sizes, self.position)
            if change.chosen:
                found[change.where_name] = edit.where(x, sizes, self.position)
        return found

    def _changes(self, graph: Graph, place: Place) -> list[tuple[_Edit, Change, tuple[int, ...]]]:
        """What is changed in a place, in the order of the equations, and the size of each value."""
        if (graph, place) not in self._found:
            found: list[tuple[_Edit, Change, tuple[int, ...]]] = []
            part, tag = f"{self._path}.{place}", free_tag(graph)
            for name in observable(graph):
                for edit in self._edits:
                    if edit.address.matches(part, name):
                        sizes = _sizes(self._layer, place.layer, graph, name)
                        found.append((edit, edit.change(name, sizes, tag + len(found)), sizes))
            self._found[graph, place] = found
        return self._found[graph, place]


def _sizes(layer: Weighted, number: int, graph: Graph, name: str) -> tuple[int, ...]:
    """The sizes of a value: (H,), (1,) for a scalar, (H, P) for a matrix."""
    sizes = {"I": layer.features(number), **layer.sizes}
    return tuple(sizes[letter] for letter in graph.shapes[observable(graph)[name]]) or (1,)


def _steps(steps: Steps) -> Tensor | slice | None:
    """Which steps, checked; None: all.

    Raises:
        UsageError: they are none.
    """
    try:
        if steps is None or steps in (slice(None), slice(0, None)):
            return None
        if isinstance(steps, slice):
            numbers = [n for n in (steps.start, steps.stop, steps.step) if n is not None]
            right = steps.step != 0
        else:
            numbers = [steps] if isinstance(steps, int) else list(steps)
            right = True
        if right and all(type(n) is int and n >= 0 for n in numbers):
            return steps if isinstance(steps, slice) else torch.tensor(numbers, dtype=torch.int64)
    except TypeError:
        pass
    raise UsageError(
        f"steps={steps!r}; give a number from 0, a slice or range of such, or a list of them."
    )

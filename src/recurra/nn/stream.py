"""A stream: a stack of layers that holds its state and takes one step a call, for inference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NoReturn

import torch
from torch import Tensor

from recurra.backends import choose
from recurra.backends.cpu.stream import FusedSteps
from recurra.backends.steps import Layer, ReferenceSteps, Steps
from recurra.errors import ShapeError, UnknownNameError, UsageError
from recurra.graph import Graph
from recurra.graph.facts import below
from recurra.graph.rewrite import with_shown
from recurra.graph.serial import loads
from recurra.nn import start as starting
from recurra.nn.dropout import zoneout_mask
from recurra.nn.options import variant
from recurra.nn.state import State
from recurra.nn.visitor import Place, Visitor, added_inputs, rewritten
from recurra.nn.weighted import DIRECTIONS, Weighted, count

_KINDS: Mapping[str, type[Steps]] = {"cpu": FusedSteps}  # by name of the backend
_NONE: Mapping[str, Tensor] = {}


class Stream:
    """Runs a layer step by step with the least overhead; made by `layer.stream(batch)`.

    It computes what `layer.eval()` computes, and no gradients: dropout is off, zoneout is its
    expectation. State, work memory and packed weights are kept between steps. Weights that changed
    are noticed, unless through `parameter.data` or in a layer made in inference mode, whose changes
    PyTorch does not count. Visitors of the layer, such as an edit, act in its streams as long as
    they are there. A stream serves one thread at a time; a layer may have any number of streams.

    Args:
        layer: whose weights are used.
        batch: B, rows.
        zoneout: share of units that keep their old value, by state.
        residual: whether each layer adds its input to its output where both have the same size.

    Attributes:
        batch: B.
        choice: the backend, and why.
        t: index of the next step, for cells that read the time.

    Raises:
        UsageError: the layer is bidirectional.

    Example:
        >>> import torch, recurra
        >>> layer = recurra.LSTM(8, 16, num_layers=2)
        >>> stream = layer.stream(1)
        >>> for x in torch.randn(5, 1, 8):
        ...     y = stream.step(x)
        >>> y.shape, [part.shape for part in stream.state]
        (torch.Size([1, 16]), [torch.Size([2, 1, 16]), torch.Size([2, 1, 16])])
    """

    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(
        self, layer: Weighted, batch: int, zoneout: Mapping[str, float], residual: bool
    ) -> None:
        if layer.bidirectional:
            raise UsageError(
                "a bidirectional layer has no stream: its reverse direction starts at the end of "
                "the sequence. Make the layer with bidirectional=False, or give layer(x) the whole "
                "sequence."
            )
        self._layer, self.batch, self.t = layer, count("batch", batch), 0
        self._zoneout, self._residual = zoneout, residual
        own = next(layer.parameters())
        self._dtype, self._device = own.dtype, own.device
        self._shapes = self._expected()
        self._x_shape = self._shapes.pop("x")
        self._ahead: dict[Visitor, int] = {}  # by how much a visitor counts further than t
        self._make()
        self.reset()

    def step(self, x: Tensor, inputs: Mapping[str, Tensor] | None = None) -> Tensor:
        """Read one step.

        Args:
            x: (B, I).
            inputs: further inputs of the cell by name, each (B, size), or (B, 1) for a scalar.

        Returns:
            (B, H), what the last layer gives out, without gradients.

        Raises:
            ShapeError: a tensor of another shape.
            UsageError: another number format or place than that of the weights, an input that is
                missing, or a tensor that asks for gradients.
        """
        x = self._checked("x", x, self._x_shape)
        further = self._further(inputs or {}) if inputs or self._shapes else _NONE
        if self._layer.visitors is not self._visitors:
            self._make_again()
        if self._changed():
            self._load()
        if self._visitors:
            self._put_added()
        y = self._steps.step(x, further, self.t)
        self.t += 1
        return y

    @property
    def state(self) -> State:
        """The state after the last step, in the form of `layer(x, state)`; set it to go on there.

        Raises:
            ShapeError: (where it is set) it is no state of this layer and batch.
        """
        return starting.join([tuple(part) for part in self._steps.states], True)

    @state.setter
    @torch.no_grad()
    def state(self, value: State) -> None:
        like = next(self._layer.parameters())
        self._steps.start(starting.split(self._layer, value, self.batch, True, like))
        self._ahead = {visitor: visitor.position - self.t for visitor in self._layer.visitors}

    @torch.inference_mode(False)
    @torch.no_grad()
    def reset(self, rows: Tensor | Iterable[int] | None = None) -> None:
        """Put rows into the state in which sequences start.

        Args:
            rows: numbers of rows, or (B,) bool; None: all of them, and the time starts anew.

        Raises:
            ShapeError: rows that the stream does not have.
        """
        first = starting.split(
            self._layer, None, self.batch, True, next(self._layer.parameters()).detach()
        )
        if rows is None:
            self.t, self._ahead = 0, {}
            self._steps.start(first)
            return
        chosen = self._rows(rows)
        mixed = [
            tuple(torch.where(chosen, new, old) for new, old in zip(*both, strict=True))
            for both in zip(first, self._steps.states, strict=True)
        ]
        self._steps.start(mixed)

    def __reduce__(self) -> NoReturn:
        raise UsageError(
            "a stream holds addresses of the memory of its layer, and can be neither copied nor "
            "saved. Keep stream.state; another stream, layer.stream(batch), goes on there once "
            "its state is set to it."
        )

    def _rows(self, rows: Tensor | Iterable[int]) -> Tensor:
        """(B, 1) bool."""
        try:
            given = torch.as_tensor(rows if isinstance(rows, Tensor) else list(rows))
        except (TypeError, ValueError, RuntimeError) as error:
            raise ShapeError(f"rows is {rows!r:.60}; {self._rows_needed()}") from error
        if given.dtype is torch.bool and given.shape == (self.batch,):
            return given.to(self._device).unsqueeze(1)
        whole = not given.numel() or not (given.is_floating_point() or given.dtype is torch.bool)
        if not whole or any(not 0 <= row < self.batch for row in given.flatten().tolist()):
            raise ShapeError(f"rows is {given.tolist()}; {self._rows_needed()}")
        chosen = torch.zeros(self.batch, dtype=torch.bool)
        chosen[given.flatten().long()] = True
        return chosen.to(self._device).unsqueeze(1)

    def _rows_needed(self) -> str:
        return (
            f"give numbers from 0 to {self.batch - 1}, or one truth for each of the {self.batch} "
            "rows."
        )

    # Visitors

    @torch.inference_mode(False)
    @torch.no_grad()
    def _make(self) -> None:
        """All layers, as the visitors of the layer want them."""
        layer, own = self._layer, next(self._layer.parameters())
        self._visitors = layer.visitors
        graphs = [self._graph(number) for number in range(layer.num_layers)]
        choices = [choose(graph, own.device, own.dtype) for graph in graphs]
        self.choice = next((c for c in choices if c.refused), choices[0])  # one for all layers
        kind = _KINDS.get(self.choice.backend.name, ReferenceSteps)
        like = own.new_empty(0)
        stack = _layers(layer, graphs, self._zoneout, self._residual, like)
        self._added = [self._room(number, like) for number in range(layer.num_layers)]
        stack = [
            replace(one, held={**one.held, **added})
            for one, added in zip(stack, self._added, strict=True)
        ]
        self._steps = kind(stack, self.batch, like)
        self._load()

    @torch.inference_mode(False)
    @torch.no_grad()
    def _make_again(self) -> None:
        """All layers anew, in the states where they are: visitors came or went."""
        states = [tuple(part.clone() for part in own) for own in self._steps.states]
        self._make()
        self._steps.start(states)

    def _graph(self, number: int) -> Graph:
        layer = self._layer
        graph = rewritten(self._visitors, layer.graph, Place(number, DIRECTIONS[0]))
        if graph.shown:  # a stream gives out nothing but its output
            graph = with_shown(graph, ())
        return loads(variant(graph, False, tuple(self._zoneout), False, layer.shown))

    def _inputs(self, number: int, like: Tensor) -> dict[str, Tensor]:
        """What visitors give to a layer in the next step, each (1, B, size)."""
        visitors, layer = self._visitors, self._layer
        if not visitors:
            return {}
        x = like.new_zeros(1, self.batch, layer.features(number))
        before = [visitor.position for visitor in visitors]
        self._tell(0)
        try:
            return added_inputs(visitors, layer.graph, Place(number, DIRECTIONS[0]), x)
        finally:
            for visitor, position in zip(visitors, before, strict=True):
                visitor.position = position

    def _tell(self, more: int) -> None:
        """Tell visitors which step comes next, or so many after it."""
        for visitor in self._visitors:
            visitor.position = self._ahead.get(visitor, 0) + self.t + more

    def _room(self, number: int, like: Tensor) -> dict[str, Tensor]:
        """Where the inputs of a layer's visitors lie in every step."""
        added = self._inputs(number, like)
        return {name: torch.empty_like(value).contiguous() for name, value in added.items()}

    @torch.no_grad()
    def _put_added(self) -> None:
        """Put what visitors give to the next step in its place."""
        for number, rooms in enumerate(self._added):
            if rooms:
                for name, value in self._inputs(number, next(iter(rooms.values()))).items():
                    rooms[name].copy_(value)
        self._tell(1)

    # Weights

    def _changed(self) -> bool:
        """Whether a weight has another value or place than when it was loaded."""
        for holder, name, tensor, version, pointer in self._watched:
            if (
                holder[name] is not tensor
                or (version is not None and tensor._version != version)
                or tensor.data_ptr() != pointer
            ):
                return True
        return False

    @torch.no_grad()
    def _load(self) -> None:
        layer = self._layer
        for parameter in layer.parameters():
            if parameter.dtype is not self._dtype or parameter.device != self._device:
                raise UsageError(
                    f"the layer is {parameter.dtype} on {parameter.device} now, and this stream "
                    f"was made for {self._dtype} on {self._device}; make a new one by "
                    "layer.stream(batch)."
                )
        self._steps.load([layer.weights(suffix) for _, _, suffix in layer.places()])
        self._watched = [
            (holder, name, tensor, _version(tensor), tensor.data_ptr())
            for module in layer.modules()
            for holder in (module._parameters, module._buffers)
            for name, tensor in holder.items()
            if tensor is not None
        ]

    # What a step is given

    def _expected(self) -> dict[str, tuple[int, int]]:
        """The shape of every input of a step."""
        graph, sizes = self._layer.graph, {"I": self._layer.input_size, **self._layer.sizes}
        shapes = {str(leaf.attribute): graph.shape(leaf) for leaf in graph.inputs}
        return {
            name: (self.batch, sizes[shape[0]] if shape else 1)
            for name, shape in shapes.items()
            if name != "t" and name not in self._layer.handed_on
        }

    def _further(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        for name in inputs:
            if name not in self._shapes:
                raise UnknownNameError("input", name, list(self._shapes) or ["none but x"])
        missing = [name for name in self._shapes if name not in inputs]
        if missing:
            raise UsageError(
                f"cell {self._layer.cell.name} also reads {', '.join(missing)}: inputs={{...}}."
            )
        return {name: self._checked(name, inputs[name], s) for name, s in self._shapes.items()}

    def _checked(self, name: str, value: Tensor, shape: tuple[int, int]) -> Tensor:
        if not isinstance(value, Tensor):
            raise ShapeError(f"{name} is a {type(value).__name__}; a step needs a tensor {shape}.")
        if value.shape != shape:
            raise ShapeError(f"{name} has the shape {tuple(value.shape)}; a step needs {shape}.")
        if value.dtype is not self._dtype or value.device != self._device:
            self._refuse_format(name, value)
        if value.requires_grad and torch.is_grad_enabled():
            raise UsageError(
                f"{name} asks for gradients, and a stream computes none; call layer(x, state), or "
                f"step under torch.no_grad() or with {name}.detach()."
            )
        value = value.resolve_neg()  # the imaginary part of a conjugate lies negated in memory
        return value if value.is_contiguous() else value.contiguous()

    def _refuse_format(self, name: str, value: Tensor) -> NoReturn:
        raise UsageError(
            f"{name} is {value.dtype} on {value.device} and the weights are {self._dtype} on "
            f"{self._device}; convert one of them."
        )


def _version(tensor: Tensor) -> int | None:
    """How often a tensor has changed in place; None where PyTorch does not count that."""
    return None if tensor.is_inference() else tensor._version


def _layers(
    layer: Weighted,
    graphs: list[Graph],
    zoneout: Mapping[str, float],
    residual: bool,
    like: Tensor,
) -> list[Layer]:
    """What each layer of the stack computes in a step."""
    size = layer.input_size
    held = {
        f"zoneout_{name}": zoneout_mask(like, rate, False, (1, 1, *layer.state_shape(name)))
        for name, rate in zoneout.items()
    }
    nothing = {
        str(leaf.attribute): like.new_zeros(1, 1, layer.sizes[layer.graph.shape(leaf)[0]])
        for leaf in below(layer.graph)
    }
    found = []
    for number, graph in enumerate(graphs):
        own = _with_residual(graph) if residual and size == layer.output_size else graph
        given = held if number else held | nothing  # nothing lies below the first layer
        found.append(Layer(own, {**layer.sizes, "I": size}, given))
        size = layer.output_size
    return found


@lru_cache(maxsize=64)
def _with_residual(graph: Graph) -> Graph:
    """The graph whose output has its input x added, which is as large as the output."""
    (size,) = graph.shapes[graph.output]
    shapes = tuple(
        (leaf, tuple(size if letter == "I" else letter for letter in shape))
        for leaf, shape in graph.leaf_shapes
    )
    same = replace(graph, leaf_shapes=shapes)
    named = (value for _, value in same.named)
    return same.with_roots((*same.updates, same.output + same.inputs[0], *named), {})

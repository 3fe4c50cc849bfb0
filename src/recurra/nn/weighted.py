"""The weights of a cell in all layers and directions: made, drawn, read by the equations' names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recurra import cells
from recurra.backends import Weights
from recurra.errors import UnknownNameError, UsageError
from recurra.graph import Cell, Graph
from recurra.graph.facts import below
from recurra.graph.rewrite import without_biases
from recurra.nn import initial
from recurra.nn.fixed import fixed_weight
from recurra.nn.layout import Stack
from recurra.nn.visitor import Visitor

DIRECTIONS = ("forward", "reverse")


class Weighted(nn.Module):
    """Abstract: a cell with weights in layers and directions, not yet run. See `Recurrent`.

    Attributes:
        handed_on: what a layer hands to the one above beside its output, as {"c_below": "c"}.
        visitors: what looks into its calls; see `recurra.nn.visitor.visiting`.
    """

    visitors: tuple[Visitor, ...] = ()

    def __init__(
        self,
        cell: str | Cell | Callable[..., Any],
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        bidirectional: bool,
        learn_initial_state: bool,
        init: Mapping[str, float | str],
        sizes: Mapping[str, int],
        layout: Callable[[Graph], tuple[Stack, ...]],
        factory: Mapping[str, Any],
        tied: bool = False,
    ) -> None:
        super().__init__()
        self.cell = cells.get(cell)
        self.graph = self.cell.graph if bias else without_biases(self.cell.graph)
        self.input_size = count("input_size", input_size)
        self.hidden_size = count("hidden_size", hidden_size)
        self.num_layers = count("num_layers", num_layers)
        self.bias = bias
        self.bidirectional = bidirectional
        self.learn_initial_state = learn_initial_state
        self.tied = tied
        initial.check_wishes(init, self.weight_names)
        self.init = {**self.cell.init, **init}
        self.handed_on = {str(leaf.attribute): name for leaf, name in below(self.graph).items()}
        self.sizes = {"H": hidden_size, **_other_sizes(self.cell.name, self.graph, sizes)}
        self._state_shapes = {
            str(state.attribute): tuple(self.sizes[letter] for letter in self.graph.shape(state))
            or (1,)
            for state in self.graph.states
        }
        self.fixed_names = tuple(str(leaf.attribute) for leaf in self.graph.leaves("fixed"))
        self._check_input()
        self.stacks = layout(self.graph)
        for suffix, layer in {suffix: layer for layer, _, suffix in self.places()}.items():
            self._register(layer, suffix, factory)
        self.reset_parameters()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy gets: what looks into this layer does not look into its copies."""
        return {name: value for name, value in self.__dict__.items() if name != "visitors"}

    @property
    def directions(self) -> tuple[str, ...]:
        """("forward",), or both."""
        return DIRECTIONS if self.bidirectional else DIRECTIONS[:1]

    @property
    def output_size(self) -> int:
        """Features that one direction of a layer gives out."""
        return self.sizes[self.graph.shapes[self.graph.output][0]]

    def state_shape(self, name: str) -> tuple[int, ...]:
        """(H,) for a vector, (H, P) for a matrix, (1,) for a scalar."""
        return self._state_shapes[name]

    def places(self) -> Iterator[tuple[int, str, str]]:
        """(layer, direction, suffix of its parameters), in the order in which states stack."""
        for layer in range(self.num_layers):
            for direction in self.directions:
                yield layer, direction, self.suffix(layer, direction)

    @property
    def shown(self) -> tuple[str, ...]:
        """The values whose sequences lower layers give out for the layers above them."""
        return tuple(self.handed_on.values()) if self.num_layers > 1 else ()

    def suffix(self, layer: int, direction: str) -> str:
        """The end of the names of a layer's parameters; all tied layers have those of the first."""
        return place_suffix(0 if self.tied else layer, direction)

    def features(self, layer: int) -> int:
        """I, features that a layer reads."""
        return len(self.directions) * self.output_size if layer else self.input_size

    def _check_input(self) -> None:
        """Refuse a layer whose cell adds x to its units, and whose x has another size."""
        x = self.graph.leaf("x")
        assert x is not None
        (letter,) = self.graph.shape(x)
        if self.tied and self.num_layers > 1 and self.features(0) != self.features(1):
            raise UsageError(
                f"tied layers have one set of weights, and layer 0 would read {self.features(0)} "
                f"features, the others {self.features(1)}. Choose input_size={self.features(1)}, "
                "or put a linear layer before."
            )
        for layer in range(self.num_layers if letter != "I" else 0):
            given, needed = self.features(layer), self.sizes[letter]
            if given != needed:
                raise UsageError(
                    f"cell {self.cell.name} joins x with its units, so layer {layer} needs "
                    f"{needed} features ({letter}) and would read {given}. Choose hidden_size = "
                    "input_size and one direction, or put a linear layer before."
                )

    def stored_shapes(self, layer: int) -> list[tuple[int, ...]]:
        """The shapes of the parameters of a layer in one direction, in the order of `stacks`."""
        sizes = {"I": self.features(layer), **self.sizes}
        found = []
        for stack in self.stacks:
            rows, *rest = [sizes[letter] for letter in stack.shape] or [1]
            found.append((len(stack.members) * rows, *rest, *stack.kernel))
        return found

    def _register(self, layer: int, suffix: str, factory: Mapping[str, Any]) -> None:
        sizes = {"I": self.features(layer), **self.sizes}
        for stack, stored in zip(self.stacks, self.stored_shapes(layer), strict=True):
            empty = torch.empty(stored, **factory)
            self.register_parameter(stack.name + suffix, nn.Parameter(empty))
        for leaf in self.graph.leaves("fixed"):
            rule, shape = self.cell.fixed[leaf.attribute], self.graph.shape(leaf)
            value = fixed_weight(rule, shape, sizes, **factory)
            self.register_buffer(leaf.attribute + suffix, value, persistent=False)
        if self.learn_initial_state:
            for state in self.graph.states:
                start = torch.empty(self.state_shape(state.attribute), **factory)
                self.register_parameter(f"initial_{state.attribute}{suffix}", nn.Parameter(start))

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights anew: uniform in ±1/sqrt(H), then the wishes of cell and `init`.

        With kernels, H counts the values of all places that one value is made of.
        """
        fan = self.hidden_size * max(math.prod(stack.kernel) for stack in self.stacks)
        for name, parameter in self.named_parameters():
            if name.startswith("initial_"):
                nn.init.zeros_(parameter)
            else:
                initial.uniform(parameter, fan)
        for layer, direction, _ in self.places():
            for name in self.weight_names:
                weight = self.weight(name, layer, direction)
                value = initial.wished(name, weight, self.init)
                if value is not None:
                    self.set_weight(name, value, layer, direction)

    @property
    def weight_names(self) -> tuple[str, ...]:
        """The names of the trained weights, in the order of the equations."""
        return tuple(str(parameter.attribute) for parameter in self.graph.parameters)

    def weight(self, name: str, layer: int = 0, direction: str = "forward") -> Tensor:
        """One weight by its name in the equations, such as "U_f": a view of its stacked parameter.

        Where two parameters hold parts of it (torch's two biases), their sum.
        """
        if name not in self.weight_names:
            raise UnknownNameError("weight", name, self.weight_names)
        if not 0 <= layer < self.num_layers:
            raise UsageError(f"layer {layer} does not exist; there are 0 to {self.num_layers - 1}.")
        if direction not in self.directions:
            raise UnknownNameError("direction", direction, self.directions)
        return self.weights(self.suffix(layer, direction))[name]

    @torch.no_grad()
    def set_weight(
        self, name: str, value: Tensor | float, layer: int = 0, direction: str = "forward"
    ) -> None:
        """Give one weight a value; where two parameters hold parts of it, the second becomes 0."""
        self.weight(name, layer, direction)  # checks the name and the place
        for stack in self.stacks:
            if name in stack.members:
                stored = getattr(self, stack.name + self.suffix(layer, direction))
                Weights([(stack.members, stored)], {})[name].copy_(torch.as_tensor(value))
                value = 0.0

    def weights(self, suffix: str) -> Weights:
        """The weights of one layer and direction, as a backend reads them."""
        return Weights(
            [(stack.members, getattr(self, stack.name + suffix)) for stack in self.stacks],
            {name: getattr(self, name + suffix) for name in self.fixed_names},
        )

    @property
    def own(self) -> Tensor:
        """One of the parameters, for the number format and the device of all."""
        for parameter in self._parameters.values():  # `parameters()` walks through all modules
            if parameter is not None:
                return parameter
        return next(self.parameters())


def place_suffix(layer: int, direction: str) -> str:
    """The end of a parameter's name, as in torch: `_l0`, `_l0_reverse`."""
    return f"_l{layer}" + ("_reverse" if direction == "reverse" else "")


def count(name: str, value: int) -> int:
    """A size.

    Raises:
        UsageError: it is no whole number from 1.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{name}={value!r}; it must be a whole number from 1.")
    return value


def _other_sizes(cell: str, graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """The sizes that a cell reads beside I and H."""
    letters = {letter for _, shape in graph.leaf_shapes for letter in shape} - {"I", "H"}
    for letter in sizes:
        if letter not in letters:
            raise UnknownNameError("size", letter, sorted(letters) or ["none but I and H"])
    missing = sorted(letters - set(sizes))
    if missing:
        example = ", ".join(f'"{letter}": 64' for letter in missing)
        raise UsageError(
            f"cell {cell} also needs the sizes {', '.join(missing)}: sizes={{{example}}}."
        )
    return {letter: count(letter, value) for letter, value in sizes.items()}

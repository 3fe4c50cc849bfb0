"""A cell over maps: convolutions in the place of its matrix products, in one or two dimensions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from recurra import cells
from recurra.backends import Choice, Given, choose_convolution
from recurra.errors import ShapeError, UsageError
from recurra.graph import Cell, Graph
from recurra.graph.facts import Variation, variation
from recurra.nn.layout import as_kernels
from recurra.nn.sequence import Lengths, Sequences, enter
from recurra.nn.state import State
from recurra.nn.visitor import Place, added_inputs, begin, go_on, rewritten, tell
from recurra.nn.weighted import Weighted, count

Size = int | tuple[int, ...]


class ConvRecurrent(Weighted):
    """Any cell over a sequence of maps: each of its products with a weight is a convolution.

    A unit of the cell becomes a channel. Vectors of weights (biases, peepholes) have one value for
    each channel, the same at every place, so that a layer reads maps of any size; a sum, mean or
    maximum over the units goes over the channels of one place. Around a map are zeros, so that its
    size stays. It runs on the reference backend.

    Args:
        cell: a name, a cell or a plain function, as for `Recurrent`; it reads x alone, multiplies
            by trained matrices only, and its states are vectors.
        in_channels: I, channels of a map that is read.
        channels: H, channels of a layer's state.
        kernel_size: odd, one number or one for each dimension.
        num_layers: layers on top of one another.
        bias: whether the vectors that are only added exist.
        batch_first: x and output as (B, T, ...) in the place of (T, B, ...).
        bidirectional: a second set of weights reads each sequence from its end.
        dims: dimensions of a map, 1 or 2.
        learn_initial_state: train the state of a channel with which a sequence starts; else it is
            zero.
        init: initial values by weight name, as for `Recurrent`.
        sizes: sizes that the cell reads beside I and H.
        device: as in torch.
        dtype: as in torch.

    Raises:
        UsageError: a cell that cannot be read so, or an option out of range.

    Example:
        >>> import torch, recurra
        >>> layer = recurra.ConvRecurrent("mgu", 3, 8, kernel_size=5)
        >>> output, h = layer(torch.randn(10, 2, 3, 16, 20))
        >>> output.shape, h.shape
        (torch.Size([10, 2, 8, 16, 20]), torch.Size([1, 2, 8, 16, 20]))
    """

    def __init__(
        self,
        cell: str | Cell | Callable[..., Any],
        in_channels: int,
        channels: int,
        kernel_size: Size,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
        *,
        dims: int = 2,
        learn_initial_state: bool = False,
        init: Mapping[str, float | str] | None = None,
        sizes: Mapping[str, int] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        found = cells.get(cell)
        _check(found.graph)
        kernel = _kernel(kernel_size, dims)
        super().__init__(
            found,
            count("in_channels", in_channels),
            count("channels", channels),
            num_layers,
            bias,
            bidirectional,
            learn_initial_state,
            init or {},
            sizes or {},
            as_kernels(kernel),
            {"device": device, "dtype": dtype},
        )
        self.kernel, self.dims, self.batch_first = kernel, dims, batch_first

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Lengths = None
    ) -> tuple[Tensor, State]:
        """Run the cell over a batch of sequences of maps.

        Args:
            x: (T, B, I, *space), or (B, T, I, *space) with batch_first; the space is (L,) or
                (rows, columns).
            state: (layers * directions, B, H, *space) for each state; None to start anew.
            lengths: (B,) steps of each row: outputs after the end are 0.

        Returns:
            output: (T, B, directions * H, *space) in the form of x; state: as `state`, a tuple if
            the cell has several.

        Raises:
            ShapeError: a tensor of another shape than the layer needs.
        """
        sequences = self._enter(x, lengths)
        value = sequences.x
        starts = self._starts(state, value)
        begin(self.visitors, state is None, 0)
        after: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            outputs = []
            for direction in self.directions:
                before = starts[len(after)]
                output, states = self._direction(sequences, layer, direction, value, before)
                outputs.append(output)
                after.append(states)
            value = torch.cat(outputs, -1)
        go_on(self.visitors, len(value))
        output = value.movedim(-1, 2)
        parts = tuple(torch.stack(one).movedim(-1, 2) for one in zip(*after, strict=True))
        return output.transpose(0, 1) if self.batch_first else output, (
            parts if len(parts) > 1 else parts[0]
        )

    def _enter(self, x: Tensor, lengths: Lengths) -> Sequences:
        """The batch as (T, B, *space, I)."""
        if x.dim() != 3 + self.dims or x.shape[2] != self.input_size:
            raise ShapeError(
                f"x has the shape {tuple(x.shape)}; this layer reads (T, B, {self.input_size}, "
                f"{', '.join(('L',) if self.dims == 1 else ('rows', 'columns'))}), or (B, T, ...) "
                "with batch_first."
            )
        maps = (x.transpose(0, 1) if self.batch_first else x).movedim(2, -1)
        flat = maps.flatten(2)
        sequences, _ = enter(flat, lengths, False, flat.shape[-1])
        return Sequences(
            sequences.x.unflatten(2, maps.shape[2:]), sequences.lengths, sequences.alive
        )

    def _starts(self, state: State | None, x: Tensor) -> list[tuple[Tensor, ...]]:
        """For each layer and direction its states, each (B, *space, H)."""
        names, places = self.graph.state_names, list(self.places())
        if state is None:
            lead = x.shape[1:-1]
            return [
                tuple(self._start(name, suffix, lead, x) for name in names)
                for _, _, suffix in places
            ]
        parts = (state,) if isinstance(state, Tensor) else tuple(state)
        needed = [
            (len(places), x.shape[1], *self.state_shape(name), *x.shape[2:-1]) for name in names
        ]
        if [tuple(part.shape) for part in parts] != needed:
            raise ShapeError(
                f"the state has the shapes {[tuple(part.shape) for part in parts]}; (layers * "
                f"directions, batch, channels, *space) of {', '.join(names)} is {needed} here."
            )
        return list(zip(*(part.movedim(2, -1).unbind(0) for part in parts), strict=True))

    def _start(self, name: str, suffix: str, lead: torch.Size, like: Tensor) -> Tensor:
        if self.learn_initial_state:
            start: Tensor = getattr(self, f"initial_{name}{suffix}")
            return start.expand(*lead, -1)
        return like.new_zeros(*lead, *self.state_shape(name))

    def _direction(
        self,
        sequences: Sequences,
        layer: int,
        direction: str,
        x: Tensor,
        before: tuple[Tensor, ...],
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        graph, place, read = self.graph, Place(layer, direction), {"x": x}
        if self.visitors:
            read |= added_inputs(self.visitors, graph, place, x)
            graph = rewritten(self.visitors, graph, place)
        if direction == "reverse":
            read = {name: sequences.reversed(value) for name, value in read.items()}
        if sequences.alive is not None:
            shape = (*sequences.alive.shape, *[1] * (x.dim() - 2))
            read["alive"] = sequences.alive.to(x.dtype).reshape(shape)
        given = Given(x.shape[0], x.shape[1], read, {}, before)
        weights = self.weights(self.suffix(layer, direction))
        output, after = self.choice().backend.run(graph, weights, given)
        results = (output, *after[len(before) :])  # behind the states comes what is shown
        if direction == "reverse":
            results = tuple(map(sequences.reversed, results))
        values = dict(zip(graph.shown, results[1:], strict=True))
        tell(self.visitors, graph, place, values, before, sequences.lengths)
        return results[0], after[: len(before)]

    def choice(self) -> Choice:
        """The backend that runs this layer."""
        own = self.own
        return choose_convolution(self.graph, own.device, own.dtype)

    def explain(self) -> str:
        """The backend that runs this layer, and why, as a sentence."""
        return str(self.choice())

    def extra_repr(self) -> str:
        """What the layer is, as its constructor would be called."""
        shown = [repr(self.cell.name), f"{self.input_size}, {self.hidden_size}", str(self.kernel)]
        options = {"num_layers": 1, "bias": True, "batch_first": False, "bidirectional": False}
        shown += [f"{k}={getattr(self, k)}" for k, v in options.items() if getattr(self, k) != v]
        return ", ".join([*shown, f"dims={self.dims}"])


class ConvLSTM(ConvRecurrent):
    """The convolutional LSTM with peepholes: cell `lstm_peephole`.

    Shi et al. 2015, arXiv:1506.04214, equation 3. The paper's peepholes have a weight for each
    place of the map, which ties a layer to one size; here they have one for each channel. Without
    peepholes, the form of Keras, it is `ConvRecurrent("lstm", ...)`.

    Args:
        in_channels: channels of a map that is read.
        channels: channels of the state.
        kernel_size: odd, one number or one for each dimension.
        *args: further arguments of `ConvRecurrent`.
        **options: its keyword options.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel_size: Size, *args: Any, **options: Any
    ) -> None:
        super().__init__("lstm_peephole", in_channels, channels, kernel_size, *args, **options)


class ConvGRU(ConvRecurrent):
    """The convolutional GRU, reset before the product: cell `gru_reset_before`.

    Ballas, Yao, Pal & Courville 2016, arXiv:1511.06432; the update gate is 1 - z of the paper's.

    Args:
        in_channels: channels of a map that is read.
        channels: channels of the state.
        kernel_size: odd, one number or one for each dimension.
        *args: further arguments of `ConvRecurrent`.
        **options: its keyword options.
    """

    def __init__(
        self, in_channels: int, channels: int, kernel_size: Size, *args: Any, **options: Any
    ) -> None:
        super().__init__("gru_reset_before", in_channels, channels, kernel_size, *args, **options)


def _kernel(size: Size, dims: int) -> tuple[int, ...]:
    if dims not in (1, 2):
        raise UsageError(f"dims={dims!r}; a map has 1 or 2 dimensions.")
    widths = size if isinstance(size, tuple) else (size,) * dims
    whole = all(isinstance(width, int) and width > 0 and width % 2 for width in widths)
    if len(widths) != dims or not whole:
        raise UsageError(
            f"kernel_size={size!r} with dims={dims}; give one odd number, or {dims} of them."
        )
    return widths


def _check(graph: Graph) -> None:
    """Refuse a cell that does more with matrices than multiply by them."""
    varies = variation(graph.nodes)
    wrong = [leaf.attribute for leaf in graph.inputs if leaf.attribute != "x"]
    if wrong:
        raise UsageError(
            f"cell {graph.name} reads {', '.join(wrong)}; over maps it may read x only."
        )
    states = all(len(graph.shape(state)) == 1 for state in graph.states)
    matrices = all(node.op == "parameter" for node in graph.nodes if len(graph.shapes[node]) == 2)
    products = all(
        varies[node] is not Variation.CONSTANT for node in graph.nodes if node.op == "matmul"
    )
    if not (states and matrices and products):
        raise UsageError(
            f"cell {graph.name} cannot convolve: each of its matrices must be a trained weight "
            "that multiplies a value of the step, and each state a vector. Choose another cell."
        )

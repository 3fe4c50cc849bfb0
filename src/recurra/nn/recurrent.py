"""A cell over time: layers, directions, and every option that torch's recurrent layers lack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from recurra.backends import Choice, Given, choose, run
from recurra.errors import UsageError
from recurra.graph import Cell, Graph
from recurra.graph.rewrite import with_shown
from recurra.graph.serial import loads
from recurra.nn import start as starting
from recurra.nn.call import Call, make_call
from recurra.nn.dropout import dropout as dropped
from recurra.nn.dropout import mask, zoneout_mask
from recurra.nn.layout import Stack, stacked_by_shape
from recurra.nn.options import given_names, probability, variant, zoneout_rates
from recurra.nn.pieces import Result, in_pieces
from recurra.nn.sequence import Lengths, Sequences, enter
from recurra.nn.shortcuts import Shortcuts
from recurra.nn.state import State, each
from recurra.nn.stream import Stream
from recurra.nn.visitor import Place, added_inputs, begin, go_on, rewritten, tell
from recurra.nn.weighted import Weighted, count

_SHOWN: dict[str, Any] = {
    "num_layers": 1,
    "bias": True,
    "batch_first": False,
    "dropout": 0.0,
    "bidirectional": False,
    "input_dropout": 0.0,
    "recurrent_dropout": 0.0,
    "zoneout": {},
    "residual": False,
    "learn_initial_state": False,
    "checkpoint_every": None,
    "tied": False,
}


class Recurrent(Weighted):
    """Any cell over a sequence, with the surface of `torch.nn.LSTM`.

    Args:
        cell: a name (`recurra.cells.names()`), a cell, or a plain function of (p, x, states...).
        input_size: I, features of a step.
        hidden_size: H, units of a layer.
        num_layers: layers on top of one another.
        bias: whether the vectors that are only added exist.
        batch_first: x and output as (B, T, ·) in the place of (T, B, ·); states stay as they are.
        dropout: probability of a zero between layers, a new mask in each step.
        bidirectional: a second set of weights reads each sequence from its end; outputs are joined.
        input_dropout: probability of a zero in a layer's input, one mask for all steps
            (variational dropout; Gal & Ghahramani 2016, arXiv:1512.05287).
        recurrent_dropout: the same in the operands of the recurrent products.
        zoneout: share of units that keep their old value, for all states or by state name
            (Krueger et al. 2017, arXiv:1606.01305).
        residual: add a layer's input to its output where both have the same size.
        learn_initial_state: train the state with which a sequence starts; else it is zero.
        checkpoint_every: steps of a piece, to train on long sequences in less memory: only states
            between pieces and the output are kept, the backward pass runs each piece again.
        tied: all layers have the weights of the first (Kalchbrenner et al. 2015, arXiv:1507.01526).
        init: initial values by weight name with wildcards, over the cell's own wishes, such as
            {"b_f": 1.0, "U_*": "orthogonal"}.
        sizes: sizes that the cell reads beside I and H, such as {"P": 64}.
        layout: how weights are stacked into parameters.
        device: as in torch.
        dtype: as in torch.

    Raises:
        UsageError: an option that is not known or out of range.

    Example:
        >>> import torch, recurra
        >>> layer = recurra.Recurrent("mgu", 8, 16)
        >>> output, h = layer(torch.randn(5, 3, 8))
        >>> output.shape, h.shape
        (torch.Size([5, 3, 16]), torch.Size([1, 3, 16]))
    """

    def __init__(
        self,
        cell: str | Cell | Callable[..., Any],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        zoneout: float | Mapping[str, float] = 0.0,
        residual: bool = False,
        learn_initial_state: bool = False,
        checkpoint_every: int | None = None,
        tied: bool = False,
        init: Mapping[str, float | str] | None = None,
        sizes: Mapping[str, int] | None = None,
        layout: Callable[[Graph], tuple[Stack, ...]] = stacked_by_shape,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            cell,
            input_size,
            hidden_size,
            num_layers,
            bias,
            bidirectional,
            learn_initial_state,
            init or {},
            sizes or {},
            layout,
            {"device": device, "dtype": dtype},
            tied,
        )
        self.batch_first = batch_first
        self.dropout = probability("dropout", dropout)
        self.input_dropout = probability("input_dropout", input_dropout)
        self.recurrent_dropout = probability("recurrent_dropout", recurrent_dropout)
        self.zoneout = zoneout_rates(zoneout, self.graph.state_names)
        self.residual = residual
        if checkpoint_every is not None:
            count("checkpoint_every", checkpoint_every)
        self.checkpoint_every = checkpoint_every
        self._shortcuts = Shortcuts()

    def forward(
        self,
        x: Tensor | PackedSequence,
        state: State | None = None,
        lengths: Lengths = None,
        reset: Tensor | None = None,
        *,
        inputs: Mapping[str, Tensor] | None = None,
        start: int = 0,
    ) -> tuple[Any, State]:
        """Run the cell over a batch of sequences.

        Args:
            x: (T, B, I), (B, T, I) with batch_first, (T, I) for one sequence, or a PackedSequence.
            state: (layers * directions, B, H) for each state, as it was returned, with (H, P) in
                the place of H for a matrix and 1 for a scalar; None to start anew.
            lengths: (B,) steps of each row, in any order, 0 allowed: outputs after the end are 0,
                the state returned is the one at the end, where the reverse direction starts.
            reset: (T, B) bool, in the form of x: where True, the state starts anew before the step.
            inputs: further sequences that the cell reads, by name, in the form of x.
            start: index of the first step, for cells that read the time t.

        Returns:
            output: (T, B, directions * H) in the form of x; state: as `state`, a tuple if the cell
            has several.

        Raises:
            ShapeError: a tensor of another shape than the layer needs.
            UsageError: another number format than that of the weights, or a missing input.

        Under `torch.autocast` x and the states may have any floating format. Products of inputs are
        then computed in autocast's; the recurrence, the output and the states stay in the weights'.
        """
        if reset is None and inputs is None and not torch.compiler.is_compiling():
            found = self._shortcuts.run(self, x, state, lengths)
            if found is not None:
                return found
        sequences, door = enter(x, lengths, self.batch_first, self.input_size)
        self.check_dtype(sequences.x)
        if _under_autocast(sequences.x.device):
            sequences, state, inputs = self._in_own_format(sequences, state, inputs)
        sizes = {"I": self.input_size, **self.sizes}
        call = make_call(sequences, door, self.graph, sizes, reset, inputs or {}, start)
        rows = sequences.x.shape[1]
        before = starting.split(self, state, rows, door.batched, sequences.x)
        begin(self.visitors, state is None, start)
        output, after = self._layers(call, before)
        go_on(self.visitors, sequences.x.shape[0])  # `len` would fix T in what is exported
        return door.out(output), starting.join(after, door.batched)

    @property
    def has_options(self) -> bool:
        """Whether anything acts on a call now but cells, directions and dropout between layers."""
        return bool(
            self.visitors
            or self.residual
            or self.zoneout
            or self.learn_initial_state
            or (self.training and (self.input_dropout or self.recurrent_dropout))
            or self.checkpoint_every
        )

    def _in_own_format(
        self, sequences: Sequences, state: State | None, inputs: Mapping[str, Tensor] | None
    ) -> tuple[Sequences, State | None, Mapping[str, Tensor] | None]:
        """What came in under autocast, in the number format of the weights."""
        own = self.own.dtype
        return (
            Sequences(sequences.x.to(own), sequences.lengths, sequences.alive),
            None if state is None else each(state, lambda part: part.to(own)),
            inputs and {name: value.to(own) for name, value in inputs.items()},
        )

    def _layers(
        self, call: Call, before: list[tuple[Tensor, ...]]
    ) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """All layers: the output (T, B, ·) of the last, the states of all after the last step."""
        x = call.sequences.without_padding if self.residual else call.sequences.x
        after: list[tuple[Tensor, ...]] = []
        calls = dict.fromkeys(self.directions, call)
        for layer in range(self.num_layers):
            outputs = []
            for direction, own in calls.items():
                output, states, shown = self._direction(
                    own, layer, direction, x, before[len(after)]
                )
                outputs.append(output)
                after.append(states)
                calls[direction] = own.handed(shown) if shown else own
            joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs, -1)
            x = joined + x if self.residual and joined.shape == x.shape else joined
            if layer + 1 < self.num_layers:
                x = dropped(x, self.dropout, self.training)
        return x, after

    def _direction(
        self, call: Call, layer: int, direction: str, x: Tensor, before: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor]]:
        """One direction of one layer: (T, B, H), its last states, what it hands to the next."""
        steps, rows = x.shape[:2]
        suffix = self.suffix(layer, direction)
        if self.training and self.input_dropout:
            x = x * mask(x, self.input_dropout, (rows, x.shape[-1]))
        masked = False
        if self.training and self.recurrent_dropout:
            masked = True  # a truth in a branch is known to torch.compile, a comparison is not
        handed = self.shown if layer + 1 < self.num_layers else ()
        own, place = self.graph, Place(layer, direction)
        added = {}
        if self.visitors:
            added = added_inputs(self.visitors, own, place, x)
            own = rewritten(self.visitors, own, place)
        graph = variant(own, masked, tuple(self.zoneout), call.reset is not None, handed)
        sequences = call.read(x, self.graph, direction, added) | self._zoneout_masks(x)
        per_row, weights = self._per_row(graph, suffix, x), self.weights(suffix)
        values = steps * rows * self.hidden_size

        def piece(sequences: Mapping[str, Tensor], states: tuple[Tensor, ...]) -> Result:
            given = Given(sequences["x"].shape[0], rows, sequences, per_row, states)
            return run(graph, weights, given, values)

        every = self.checkpoint_every
        if torch.compiler.is_exporting():  # a program would keep every piece, and fix their number
            every = None
        if every and steps > every and torch.is_grad_enabled():
            output, after = in_pieces(piece, sequences, before, every)
        else:
            output, after = piece(sequences, before)
        results = (output, *after[len(before) :])  # behind the states comes what is shown
        if direction == "reverse":
            results = tuple(map(call.sequences.reversed, results))
        output, *rest = results
        shown = dict(zip(dict.fromkeys((*handed, *own.shown)), rest, strict=True))
        tell(self.visitors, own, place, shown, before, call.sequences.lengths)
        on = {leaf: shown[name] for leaf, name in self.handed_on.items()} if handed else {}
        return output, after[: len(before)], on

    def _zoneout_masks(self, x: Tensor) -> dict[str, Tensor]:
        steps, rows = x.shape[:2]
        masks = {}
        for name, rate in self.zoneout.items():
            shape = (steps, rows, *self.state_shape(name))
            masks[f"zoneout_{name}"] = zoneout_mask(x, rate, self.training, shape)
        return masks

    def _per_row(self, graph: str, suffix: str, x: Tensor) -> dict[str, Tensor]:
        """The given leaves that this graph reads: masks of the recurrence, and initial states."""
        rows = x.shape[1]
        sizes = {"I": x.shape[-1], **self.sizes}
        values = {}
        for leaf in given_names(graph):
            kind, _, name = leaf.partition("_")
            if kind == "dropout":
                shape = (rows, sizes[name])
                values[leaf] = mask(x, self.recurrent_dropout, shape)
            else:
                values[leaf] = starting.initial(self, name, suffix, x, rows)
        return values

    def initial_state(self, rows: int) -> State:
        """The state in which `rows` sequences start: (layers * directions, B, H) for each state."""
        states = starting.split(self, None, rows, True, self.own)
        return starting.join([tuple(s.contiguous() for s in own) for own in states], True)

    def stream(self, batch: int) -> Stream:
        """A `Stream`: it holds the state of `batch` rows and takes one step a call, for inference.

        Raises:
            UsageError: the layer is bidirectional, or `batch` is no whole number from 1.
        """
        return Stream(self, batch, self.zoneout, self.residual)

    def check_dtype(self, x: Tensor) -> None:
        """Refuse an x elsewhere than the weights, or, unless under autocast, in another format."""
        own, place = self.own.dtype, self.own.device
        if x.device != place:
            raise UsageError(
                f"x lies on {x.device} and the weights on {place}; move one of them "
                f"(x.to({str(place)!r}), or layer.to({str(x.device)!r}))."
            )
        if x.dtype != own and not _under_autocast(x.device):
            raise UsageError(
                f"x is {x.dtype} and the weights are {own}; convert one of them "
                f"(x.to({own}), or layer.to({x.dtype}))."
            )

    def choice(self, steps: int | None = None, rows: int | None = None) -> Choice:
        """The backend that runs this layer in its present number format and place.

        Args:
            steps: T of a call; with `rows`, the choice for calls of this size.
            rows: B.

        Raises:
            UsageError: one of both is no whole number from 1.
        """
        for name, given in (("steps", steps), ("rows", rows)):
            if given is not None:
                count(name, given)
        own = self.own
        values = None if steps is None or rows is None else steps * rows * self.hidden_size
        return choose(with_shown(self.graph, self.shown), own.device, own.dtype, values)

    def explain(self, steps: int | None = None, rows: int | None = None) -> str:
        """The backend that runs this layer and why, then how; arguments as of `choice`.

        The first line is the choice. Numbers below it are those of the first layer in one
        direction, in the present mode (`train`, `eval`).
        """
        choice = self.choice(steps, rows)
        lines = choice.backend.details(*self._as_run(), steps, rows, self.own.dtype)
        places = len(list(self.places()))
        if lines and places > 1:
            lines.insert(0, ("numbers", f"of the first of {places} layers and directions"))
        return "\n".join([str(choice), *(f"  {label:<8} {said}" for label, said in lines)])

    def _as_run(self) -> tuple[Graph, dict[str, int]]:
        """The graph with the options of this layer written into it, and all sizes."""
        masked = self.training and self.recurrent_dropout > 0
        text = variant(self.graph, masked, tuple(self.zoneout), False, self.shown)
        return loads(text), {"I": self.input_size, **self.sizes}

    def extra_repr(self) -> str:
        """What the layer is, as its constructor would be called."""
        shown = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in _SHOWN.items():
            if getattr(self, name) != default:
                shown.append(f"{name}={getattr(self, name)}")
        return ", ".join([*self._repr_head(), *shown])

    def _repr_head(self) -> list[str]:
        return [repr(self.cell.name)]


def _under_autocast(device: torch.device) -> bool:
    """Whether autocast acts on a device; on some, as `meta`, there is none."""
    known: bool = torch.amp.is_autocast_available(device.type)
    return known and torch.is_autocast_enabled(device.type)

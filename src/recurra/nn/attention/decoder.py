"""Decoders: a cell over time whose every step looks at a memory of vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError
from recurra.graph import Cell
from recurra.nn import start as starting
from recurra.nn.attention.attention import Attention
from recurra.nn.attention.forms import attention_of
from recurra.nn.attention.memory import Memory, check_prepared
from recurra.nn.attention.stepping import States, Stepping, check_steppable
from recurra.nn.recurrent import Recurrent
from recurra.nn.sequence import Lengths, enter
from recurra.nn.state import State
from recurra.nn.visitor import begin
from recurra.nn.weighted import count


class Carried(NamedTuple):
    """What goes from step to step: states of the cell, what joins the input, the weights."""

    cells: States
    fed: tuple[Tensor, ...]
    weights: Tensor


class Decoder(nn.Module, ABC):
    """Abstract: any cell, a memory, and the order in which a step reads them.

    Args:
        cell: a name (`recurra.cells.names()`), a cell, or a plain function of (p, x, states...).
        input_size: I, features of a step.
        hidden_size: H, units of a layer.
        memory_size: M, features of a vector of the memory.
        num_layers: layers on top of one another; the last one asks the queries.
        bias: whether the vectors of the cell that are only added exist.
        batch_first: x, output and weights as (B, T, ·) and the memory as (B, S, M); states stay.
        dropout: probability of a zero between layers, a new mask in each step.
        attention: "additive", "dot", "general", "location", or an `Attention`.
        attention_size: A, units inside an additive or location-aware attention; None: H.
        learn_initial_state: train the state with which a sequence starts; else it is zero.
        init: initial values by weight name, over the cell's own wishes.
        sizes: sizes that the cell reads beside I and H.
        device: as in torch.
        dtype: as in torch.

    Raises:
        UsageError: an option that is not known, sizes that do not fit, or a cell that reads more
            than x.
    """

    def __init__(
        self,
        cell: str | Cell | Callable[..., Any],
        input_size: int,
        hidden_size: int,
        memory_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        *,
        attention: str | Attention = "additive",
        attention_size: int | None = None,
        learn_initial_state: bool = False,
        init: Mapping[str, float | str] | None = None,
        sizes: Mapping[str, int] | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.input_size = count("input_size", input_size)
        self.memory_size = count("memory_size", memory_size)
        self.batch_first = batch_first
        self.layer = Recurrent(
            cell,
            input_size + self._fed_size(hidden_size, memory_size),
            hidden_size,
            num_layers,
            bias,
            dropout=dropout,
            learn_initial_state=learn_initial_state,
            init=init,
            sizes=sizes,
        )
        check_steppable(self.layer)
        units = hidden_size if attention_size is None else attention_size
        self.attention = attention_of(attention, self._query_size(), memory_size, units)
        self.combine = self._combination()
        self.to(device, dtype)

    @staticmethod
    @abstractmethod
    def _fed_size(hidden_size: int, memory_size: int) -> int:
        """Features that join the input of a step."""

    @abstractmethod
    def _query_size(self) -> int:
        """Q: features of a query."""

    @abstractmethod
    def _combination(self) -> nn.Module:
        """What makes the output from [context; output of the cell] (B, M + H)."""

    @abstractmethod
    def _fed_at_start(self, like: Tensor) -> tuple[Tensor, ...]:
        """What joins the input of the first step, each (B, ·); nothing if it is not carried."""

    @abstractmethod
    def _step(
        self, run: Stepping, x: Tensor, memory: Memory, before: Carried, t: int
    ) -> tuple[Tensor, Carried]:
        """One step: the output (B, O), and what is carried on."""

    def prepare(self, memory: Tensor | Memory, lengths: Lengths = None) -> Memory:
        """A memory (S, B, M), or (B, S, M) with batch_first, ready for many steps.

        Args:
            memory: the vectors; what is prepared already is given back.
            lengths: (B,) vectors of each row, in any order, 0 allowed.

        Raises:
            ShapeError: a memory of another shape, or lengths that do not fit.
        """
        if isinstance(memory, Memory):
            if lengths is not None:
                raise ShapeError("a prepared memory carries its lengths; leave out memory_lengths.")
            return memory
        self.layer.check_dtype(memory)
        if self.batch_first and memory.dim() == 3:
            memory = memory.transpose(0, 1)
        return self.attention.prepare(memory, lengths)

    def forward(
        self,
        x: Tensor,
        memory: Tensor | Memory,
        state: State | None = None,
        *,
        lengths: Lengths = None,
        memory_lengths: Lengths = None,
        start: int = 0,
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Run over a batch of sequences whose inputs are known (teacher forcing).

        Args:
            x: (T, B, I), or (B, T, I) with batch_first.
            memory: (S, B, M), or (B, S, M) with batch_first, or as `prepare` gave it.
            state: as it was returned; or the states of the cell alone, (layers, B, H) each, as an
                encoder of the same cell returns them; None to start anew.
            lengths: (B,) steps of each row, 0 allowed: outputs and weights after the end are 0, the
                state returned is the one at the end.
            memory_lengths: (B,) vectors of each row of the memory, 0 allowed.
            start: index of the first step, for cells that read the time t.

        Returns:
            output: (T, B, O); state: a tuple, each part (·, B, ·); weights: (T, B, S).

        Raises:
            ShapeError: a tensor of another shape than needed.
            UsageError: another number format than that of the weights.
        """
        if isinstance(x, Tensor) and x.dim() != 3:
            raise ShapeError(f"x has the shape {tuple(x.shape)}; a decoder reads (T, B, I).")
        sequences, door = enter(x, lengths, self.batch_first, self.input_size)
        whole = sequences.without_padding
        ready = self.prepare(memory, memory_lengths)
        begin(self.layer.visitors, state is None, start)
        run, carried = self._begin(whole[0:1].sum(0), ready, state)
        outputs, weights = [], []
        for t, now in enumerate(whole.unbind(0)):
            output, after = self._step(run, now, ready, carried, start + t)
            seen = after.weights
            if sequences.alive is not None:
                alive = sequences.alive[t].unsqueeze(1)
                output, seen = output * alive, seen * alive
                after = _kept(alive, after, carried)
            carried = after
            outputs.append(output)
            weights.append(seen)
        output = _stacked(outputs, whole, self.output_size)
        looked = _stacked(weights, whole, ready.steps)
        run.finish(sequences.lengths, {"attention": looked})
        axes = (1, 0, 2) if door.batch_first else (0, 1, 2)
        return output.permute(axes), _as_state(carried), looked.permute(axes)

    def step(
        self, x: Tensor, memory: Memory, state: State | None = None, *, t: int = 0
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """One step, for decoding, where an input follows from the output before.

        Args:
            x: (B, I).
            memory: as `prepare` gave it.
            state: as in `forward`; `recurra.nn.select` takes some rows of it.
            t: index of the step, for cells that read the time.

        Returns:
            output: (B, O); state: as in `forward`; weights: (B, S).

        Raises:
            UsageError: a memory that is not prepared.
            ShapeError: a tensor of another shape than needed.
        """
        check_prepared(memory)
        if x.dim() != 2 or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"x has the shape {tuple(x.shape)}; a step reads (B, I) with I = {self.input_size}."
            )
        begin(self.layer.visitors, state is None, t)
        run, carried = self._begin(x, memory, state)
        output, after = self._step(run, x, memory, carried, t)
        run.finish(None, {"attention": after.weights.unsqueeze(0)})
        return output, _as_state(after), after.weights

    def _begin(self, like: Tensor, memory: Memory, state: State | None) -> tuple[Stepping, Carried]:
        """The layer made ready for many steps of x like (B, I), and what the first one reads."""
        self.layer.check_dtype(like)
        rows = like.shape[0]
        if memory.rows != rows:
            raise ShapeError(f"x has {rows} rows and the memory {memory.rows}; they need as many.")
        fed, weights = self._fed_at_start(like), self.attention.start(memory)
        cells: State | None = state
        count = len(self.layer.graph.state_names)
        if state is not None:
            parts = (state,) if isinstance(state, Tensor) else tuple(state)
            cells = parts[:count]
            if len(parts) > count:
                *before, weights = _checked(parts[count:], (*fed, weights))
                fed = tuple(before)
        states = starting.split(self.layer, cells, rows, True, like)
        return Stepping(self.layer, states), Carried(states, fed, weights)

    @property
    @abstractmethod
    def output_size(self) -> int:
        """O: features of the output."""

    def explain(self) -> str:
        """What runs this decoder, and why, as a sentence."""
        return "reference: the input of a step depends on the step before, so each runs on its own"

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.layer.hidden_size}, {self.memory_size}"


def _checked(given: tuple[Tensor, ...], like: tuple[Tensor, ...]) -> list[Tensor]:
    """The parts of a state beside those of the cell, (1, B, ·) each, as (B, ·)."""
    needed = [(1, *part.shape) for part in like]
    if [tuple(part.shape) for part in given] != needed:
        shapes = ", ".join(str(tuple(part.shape)) for part in given)
        raise ShapeError(
            f"after the states of the cell come parts of the shapes {shapes}; they need "
            f"{', '.join(map(str, needed))}. Give the states of the cell alone, or all as returned."
        )
    return [part.squeeze(0) for part in given]


def _as_state(carried: Carried) -> tuple[Tensor, ...]:
    """All that is carried as one tuple, the batch in the second place everywhere."""
    cells = starting.join(carried.cells, True)
    rest = (part.unsqueeze(0) for part in (*carried.fed, carried.weights))
    return (*((cells,) if isinstance(cells, Tensor) else cells), *rest)


def _kept(alive: Tensor, after: Carried, before: Carried) -> Carried:
    """What is carried after a step, for rows that have ended what was before it; alive (B, 1)."""

    def kept(new: tuple[Tensor, ...], old: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        pairs = zip(new, old, strict=True)
        return tuple(torch.where(alive.view(-1, *[1] * (n.dim() - 1)), n, o) for n, o in pairs)

    cells = [kept(new, old) for new, old in zip(after.cells, before.cells, strict=True)]
    weights = torch.where(alive, after.weights, before.weights)
    return Carried(cells, kept(after.fed, before.fed), weights)


def _stacked(steps: list[Tensor], like: Tensor, size: int) -> Tensor:
    """(T, B, size); also where there is no step."""
    return torch.stack(steps) if steps else like.new_zeros(0, like.shape[1], size)

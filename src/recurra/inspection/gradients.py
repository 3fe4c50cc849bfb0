"""Gradients through time: how much of the loss reaches each state of each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import UnknownNameError, UsageError
from recurra.graph import Expression, Graph
from recurra.graph.expression import rebuild, with_args
from recurra.inspection.address import Address, parsed
from recurra.inspection.layers import reading, visited
from recurra.inspection.model_output import default_loss
from recurra.inspection.recorder import called
from recurra.nn.modes import evaluating
from recurra.nn.sequence import Lengths, Sequences
from recurra.nn.visitor import Place, Visit, Visitor
from recurra.nn.weighted import Weighted

ADDED = "added_to_"  # an input of this name and zero is added to a state after each step
TENTH = 0.1
Loss = Callable[[Any], Tensor]


@dataclass(frozen=True, eq=False)
class Gradient:
    """The gradient of a loss with respect to one state after each step.

    Vanishing and exploding gradients: Hochreiter 1991 (diploma thesis); Bengio, Simard & Frasconi
    1994; Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063.

    Attributes:
        address: of the state, such as "rnn.0.forward.c".
        values: (T, B, size) dL/ds_t in the order of time: what the loss would change by if the
            state were another after step t, through the output of the step and all that follows.
            0 after the end of a row.
        norms: (T, B), the Euclidean norm over the units.
        back: (T,) root mean square of the norms over the rows, by the number of steps back from the
            last step that the loss depends on; NaN further back than any row reaches.
    """

    address: str
    values: Tensor
    norms: Tensor
    back: Tensor

    @property
    def tenth(self) -> int | None:
        """The least number of steps back at which a tenth or less of the norm is left, or None."""
        return _first(self.back <= TENTH * self.back[:1])

    @property
    def tenfold(self) -> int | None:
        """The least number of steps back at which the norm is ten times as large, or None."""
        return _first(self.back >= self.back[:1] / TENTH)

    @property
    def factor(self) -> float:
        """What a step multiplies the norm with, as the geometric mean over all steps back.

        Below 1 gradients vanish, above 1 they explode; NaN if there is only one step.
        """
        known = self.back[~self.back.isnan()].cpu().double()
        if len(known) < 2 or not float(known[0]):
            return math.nan
        return float(known[-1] / known[0]) ** (1 / (len(known) - 1))

    @property
    def verdict(self) -> str:
        """ "vanishing", "exploding" or "kept": whether a tenth or ten times is reached first."""
        if not bool(self.back[~self.back.isnan()].isfinite().all()):
            return "exploding"
        shrunk, grown = self.tenth, self.tenfold
        if shrunk is None and grown is None:
            return "kept"
        if shrunk is None or (grown is not None and grown < shrunk):
            return "exploding"
        return "vanishing"


def gradients_through_time(
    model: Any,
    inputs: Any,
    states: str | Iterable[str] | None = None,
    loss: Loss | None = None,
    lengths: Lengths = None,
) -> dict[str, Gradient]:
    """Run a model in evaluation mode and see how much of a loss reaches each of its states.

    A zero is added to each state after each step, and the loss differentiated with respect to it;
    so every backend and device can do it, fused kernels and evaluation mode on a GPU included.

    Args:
        model: as for `record`; layers of torch run as their twins of recurra.
        inputs: as for `record`.
        states: addresses or patterns such as "c" or "rnn.1.*"; None for every state that is a
            vector. Where a state is zoned out, it is its value before that.
        loss: what is differentiated, a scalar made from what the model gives out. If None and the
            model reads items and gives out a score for each of them, the surprisal
            of the last item of each row, given those before; else half the sum of squares of the
            output of the last step. Rows are added up, so each has its own gradient.
        lengths: (B,) as for `record`.

    Returns:
        by address of the state, in the order of the run.

    Raises:
        UsageError: the model has no recurrent layer or ran none; a loss that is no scalar or not
            differentiable.
        UnknownNameError: a name that means no state.

    Example:
        >>> import torch
        >>> from recurra.inspection import gradients_through_time
        >>> found = gradients_through_time(torch.nn.RNN(4, 8), torch.randn(50, 2, 4))
        >>> found["rnn.0.forward.h"].verdict
        'vanishing'
    """
    model, inputs = reading(model, inputs)
    tape = _Tape(parsed(states))
    with torch.enable_grad(), evaluating(model), visited(model, tape.visitor, replacing=True):
        output = called(model, inputs, lengths)
        tape.check(model)
        value = default_loss(model, inputs, output, lengths) if loss is None else loss(output)
        _check_loss(value)
        added = [delta for deltas in tape.added.values() for delta in deltas]
        found = iter(torch.autograd.grad(value, added, allow_unused=True))
    results = {}
    for address, deltas in tape.added.items():
        parts = [next(found) for _ in deltas]
        joined = torch.cat(
            [
                torch.zeros_like(delta) if part is None else part
                for delta, part in zip(deltas, parts, strict=True)
            ]
        )
        results[address] = gradient(address, joined, tape.lengths[address])
    return results


def gradient(address: str, values: Tensor, lengths: Tensor | None) -> Gradient:
    """The measures of a gradient that is known.

    Args:
        address: of the state; its direction says where a row's end is.
        values: (T, B, size) in the order of time.
        lengths: (B,), or None.
    """
    values = values.detach()
    norms = torch.linalg.vector_norm(values.flatten(2), dim=-1)
    reverse = address.split(".")[-2] == "reverse"
    run = Sequences(norms, lengths, None).reversed(norms) if reverse else norms
    return Gradient(address, values, norms, _back(run))


def _back(norms: Tensor) -> Tensor:
    """(T,) root mean square over rows by the distance from each row's last norm that is not 0."""
    steps = torch.arange(len(norms), device=norms.device).unsqueeze(1)
    last = torch.where(norms != 0, steps, -1).amax(0) if len(norms) else steps.new_zeros(0)
    place = last - steps  # (T, B): which step is so many steps back
    known = place >= 0
    squares = norms.gather(0, place.clamp(min=0)).square()
    squares = torch.where(known, squares, 0.0).sum(1)
    return (squares / known.sum(1)).sqrt()  # 0 / 0: no row reaches so far


def _first(which: Tensor) -> int | None:
    found = which[1:].nonzero()
    return int(found[0]) + 1 if len(found) else None


def _check_loss(value: Any) -> None:
    """Refuse what cannot be differentiated.

    Raises:
        UsageError: it is no scalar, or does not depend on the model.
    """
    if not isinstance(value, Tensor) or value.numel() != 1:
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise UsageError(f"the loss is of {what}; it must be one number, such as output.sum().")
    if not value.requires_grad:
        raise UsageError(
            "the loss does not depend on the model by differentiable steps; do not detach its "
            "output, nor take its argmax."
        )


class _Tape:
    """What was added in one run, call by call."""

    def __init__(self, patterns: list[Address] | None) -> None:
        self.patterns = patterns
        self.added: dict[str, list[Tensor]] = {}
        self.lengths: dict[str, Tensor | None] = {}
        self.known: dict[str, None] = {}

    def visitor(self, path: str, layer: Weighted) -> Visitor:
        return _Adder(self, path, layer)

    def wanted(self, part: str, graph: Graph) -> tuple[str, ...]:
        """The states of a part that get an addition."""
        vectors = [str(state.attribute) for state in graph.states if len(graph.shape(state)) < 2]
        self.known |= dict.fromkeys(f"{part}.{name}" for name in vectors)
        if self.patterns is None:
            return tuple(vectors)
        return tuple(n for n in vectors if any(p.matches(part, n) for p in self.patterns))

    def check(self, model: nn.Module) -> None:
        """Refuse a run that added nothing."""
        for pattern in self.patterns or ():
            if not any(pattern.matches(*known.rsplit(".", 1)) for known in self.known):
                raise UnknownNameError("state", str(pattern), self.known)
        if not self.added:
            raise UsageError(
                f"{type(model).__name__} ran no recurrent layer with a state that is a vector."
            )


class _Adder(Visitor):
    """Adds a zero to states after each step, and keeps it for its gradient."""

    def __init__(self, tape: _Tape, path: str, layer: Weighted) -> None:
        self._tape, self._path, self._layer = tape, path, layer

    def rewrite(self, graph: Graph, place: Place) -> Graph:
        """See `Visitor`."""
        return with_additions(graph, self._tape.wanted(f"{self._path}.{place}", graph))

    def inputs(self, graph: Graph, place: Place, x: Tensor) -> Mapping[str, Tensor]:
        """See `Visitor`."""
        part, added = f"{self._path}.{place}", {}
        for name in self._tape.wanted(part, graph):
            (size,) = self._layer.state_shape(name)
            zero = x.new_zeros(*x.shape[:2], size, *x.shape[3:], requires_grad=True)
            self._tape.added.setdefault(f"{part}.{name}", []).append(zero)
            added[ADDED + name] = zero
        return added

    def visit(self, graph: Graph, place: Place, visit: Visit) -> None:
        """See `Visitor`."""
        for name in self._tape.wanted(f"{self._path}.{place}", graph):
            self._tape.lengths[f"{self._path}.{place}.{name}"] = visit.lengths


@lru_cache(maxsize=512)
def with_additions(graph: Graph, states: tuple[str, ...]) -> Graph:
    """The graph with an input added to each of these states after the step: `added_to_c`.

    Whatever reads the new state reads the sum, the output and other equations of the step too.
    """
    leaves = {name: Expression("input", (), ADDED + name) for name in states}
    shapes = {leaves[s.attribute]: graph.shape(s) for s in graph.states if s.attribute in leaves}
    pairs = list(zip(graph.states, graph.updates, strict=True))
    sums: dict[Expression, Expression] = {}
    for state, update in pairs:
        if state.attribute in leaves and update.args and update not in sums:
            sums[update] = leaves[state.attribute]

    def change(node: Expression, args: tuple[Expression, ...]) -> Expression:
        new = with_args(node, args)
        return new + sums[node] if node in sums else new

    roots = list(rebuild(graph.roots, change))
    for number, (state, update) in enumerate(pairs):
        leaf = leaves.get(state.attribute)
        if leaf is not None and sums.get(update) is not leaf:
            # It is another state as it was, or the same as another: added behind it.
            roots[number] = roots[number] + leaf
    return graph.with_roots(tuple(roots), shapes)

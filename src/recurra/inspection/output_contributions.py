"""Contributions to an output and to logits: the parts of a memory, followed through equations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import UsageError
from recurra.graph import Expression
from recurra.inspection.contributions import divided, read_until
from recurra.inspection.evaluation import Missing, Values
from recurra.inspection.memories import find_memories
from recurra.inspection.model_output import batch_first, first_tensor
from recurra.inspection.recording import Recording

_NEAR = {torch.float32: 1e-3, torch.float64: 1e-9}


@dataclass(frozen=True, eq=False)
class OutputContributions:
    """An output as the sum of what each step put into the memories behind it.

    Attributes:
        shares: (T, B, V) for each step, in the order of time.
        initial: (B, V) what is left of the states before the first step.
        rest: (B, V) what does not come from a memory: biases, and what goes around it.
        total: (B, V) the output: the sum of all these.
    """

    shares: Tensor
    initial: Tensor
    rest: Tensor
    total: Tensor


@torch.no_grad()
def contributions_to_output(
    recording: Recording, step: int | None = None, layer: str | None = None
) -> OutputContributions:
    """The output h of a layer, allocated to the steps that its memory holds.

    The parts of the memory c (`contributions_to_state`) are followed to the output. Sums, products
    with other values of the step and with matrices are linear in c, and act on each part alone. An
    activation is not: its value is allocated in proportion, by the exact secant tanh(c) / c (1 at
    c = 0, its limit), so that h = o * tanh(c) becomes the sum of o * (tanh(c) / c) * part, without
    remainder. This is the choice of Arras et al. 2017, arXiv:1706.07206, for gates (a gate gets
    nothing, what it lets through gets all) and that of DeepLIFT's rescale rule for activations
    (Shrikumar, Greenside & Kundaje 2017, arXiv:1704.02685). Murdoch & Szlam 2017, arXiv:1702.02540,
    take differences of tanh from step to step instead; there, the order of steps matters.

    Args:
        recording: of all values of the layer, in its model.
        step: of the output, in the order of time, -1 for the last of each row; None for the last
            step of each direction, whose states many models classify by.
        layer: such as "rnn.1"; None for the last that ran.

    Returns:
        with V the features of the output, both directions of the layer behind one another.

    Raises:
        UsageError: the output does not come from an additive memory along such a line, or what
            `contributions_to_state` refuses.
    """
    parts = [_of_part(Values(recording, part), step) for part in _directions(recording, layer)]
    return _packed(torch.cat(parts, -1))


@torch.no_grad()
def contributions_to_logits(
    recording: Recording,
    step: int | None = None,
    head: nn.Linear | None = None,
    layer: str | None = None,
) -> OutputContributions:
    """Each logit of a linear head over a layer's output, allocated to the steps.

    W h + b is linear, so the parts of h (`contributions_to_output`) add up to each logit exactly.

    Args:
        recording: as for `contributions_to_output`; what its model gave out is checked against the
            sum, where it has a fitting shape.
        step: as for `contributions_to_output`.
        head: the linear layer; None for the model's only one.
        layer: as for `contributions_to_output`.

    Raises:
        UsageError: there is no such head, the logits are not a linear function of the layer's
            output, or what `contributions_to_output` refuses.
    """
    own = contributions_to_output(recording, step, layer)
    features = own.total.shape[-1]
    head = _only_head(recording.model, features) if head is None else head
    if head.in_features != features:
        raise UsageError(
            f"the head reads {head.in_features} features and the layer gives out {features}; "
            "choose the layer below the head by layer=."
        )
    stack = torch.cat([own.shares, own.initial.unsqueeze(0), own.rest.unsqueeze(0)])
    stack = stack @ head.weight.T
    if head.bias is not None:
        stack[-1] += head.bias
    found = _packed(stack)
    _compare(recording, step, found.total)
    return found


def _packed(stack: Tensor) -> OutputContributions:
    return OutputContributions(stack[:-2], stack[-2], stack[-1], stack.sum(0))


def _directions(recording: Recording, layer: str | None) -> list[str]:
    """The parts of one layer, forward first."""
    wanted = list(recording.parts)[-1].rpartition(".")[0] if layer is None else layer
    found = [part for part in recording.parts if part.rpartition(".")[0] == wanted]
    if not found:
        known = dict.fromkeys(part.rpartition(".")[0] for part in recording.parts)
        raise UsageError(f"no layer {wanted!r} was recorded; there are {', '.join(known)}.")
    return found


def _of_part(values: Values, step: int | None) -> Tensor:
    """(T + 2, B, V): the shares of the steps, the initial state's, and the rest."""
    try:
        return _Line(values, step).followed()
    except Missing as missing:
        raise UsageError(
            f"the output of {values.part} needs {missing}, which the recording does not hold; "
            "record all values of the model (it has no inputs; a cell may name them)."
        ) from None


class _Line:
    """Follows the memories of one layer and direction to its output.

    What it handles is (T + 2, B, size): a share for each step, the initial state's, and the rest.
    """

    def __init__(self, values: Values, step: int | None) -> None:
        self.values = values
        self.graph = values.facts.graph
        self.read = read_until(values, step)
        updates = dict(zip(self.graph.state_names, self.graph.updates, strict=True))
        self.memories = {updates[one.state]: one for one in find_memories(self.graph)}
        self.done: dict[Expression, Tensor | None] = {}

    def followed(self) -> Tensor:
        """The parts of the output; 0 for a row that has read nothing."""
        found = self.parts(self.graph.output)
        if found is None:
            kept = ", ".join(one.state for one in self.memories.values()) or "none"
            raise UsageError(
                f"the output of cell {self.graph.name} is no sum over the parts of an additive "
                f"memory (it has: {kept}), so no step has a share of it. Use integrated_gradients."
            )
        return torch.where(self.read.any(0).view(-1, 1), found, 0.0)

    def parts(self, node: Expression) -> Tensor | None:
        """The parts of a value; None if no memory enters it along the line."""
        if node not in self.done:
            self.done[node] = self._parts(node)
        return self.done[node]

    def _parts(self, node: Expression) -> Tensor | None:
        if node in self.memories:
            own = divided(self.values, self.memories[node], self.read)
            none = torch.zeros_like(own.initial)
            return torch.cat([own.shares, own.initial.unsqueeze(0), none.unsqueeze(0)])
        rule = _RULES.get(node.op)
        inside = [self.parts(arg) for arg in node.args] if rule else []
        if rule is None or all(part is None for part in inside):
            return None
        return rule(self, node, inside)

    def value(self, node: Expression) -> Tensor:
        """(B, size) of a value at the last step that each row has read; a weight as it is."""
        value = self.values(node)
        if not isinstance(value, Tensor):
            return self.values.like.new_tensor(value)
        if value.dim() < 3:
            return value
        last = (self.read.sum(0) - 1).clamp(min=0)
        rows = torch.arange(value.shape[1], device=value.device)
        return self.values.in_order(value)[last, rows]

    def whole(self, node: Expression, part: Tensor | None, like: Tensor) -> Tensor:
        """The parts of a term; one that no memory enters is all rest."""
        if part is not None:
            return part
        alone = torch.zeros_like(like)
        alone[-1] = self.value(node)
        return alone


_Parts = list[Tensor | None]


def _sum(sign: int) -> Callable[[_Line, Expression, _Parts], Tensor]:
    def of(line: _Line, node: Expression, parts: _Parts) -> Tensor:
        like = max((part for part in parts if part is not None), key=Tensor.numel)
        a, b = (line.whole(arg, p, like) for arg, p in zip(node.args, parts, strict=True))
        return a + sign * b

    return of


def _product(line: _Line, node: Expression, parts: _Parts) -> Tensor | None:
    a, b = parts
    if a is not None and b is not None:
        return None  # two memories multiplied: no sum of parts
    return a * line.value(node.args[1]) if a is not None else _of(b) * line.value(node.args[0])


def _quotient(line: _Line, node: Expression, parts: _Parts) -> Tensor | None:
    return None if parts[0] is None else parts[0] / line.value(node.args[1])


def _matmul(line: _Line, node: Expression, parts: _Parts) -> Tensor | None:
    matrix, vector = parts
    if matrix is not None and vector is not None:
        return None
    if matrix is not None:
        return (matrix @ line.value(node.args[1]).unsqueeze(-1)).squeeze(-1)
    weight, vector = line.value(node.args[0]), _of(vector)
    return vector @ weight.T if weight.dim() == 2 else (weight @ vector.unsqueeze(-1)).squeeze(-1)


def _secant(slope_at_zero: float) -> Callable[[_Line, Expression, _Parts], Tensor]:
    def of(line: _Line, node: Expression, parts: _Parts) -> Tensor:
        before, after = line.value(node.args[0]), line.value(node)
        return _of(parts[0]) * torch.where(before != 0, after / before, slope_at_zero)

    return of


def _where(line: _Line, node: Expression, parts: _Parts) -> Tensor | None:
    _, a, b = parts
    like = max((part for part in (a, b) if part is not None), key=Tensor.numel, default=None)
    if like is None:
        return None
    first, second = (line.whole(arg, p, like) for arg, p in zip(node.args[1:], (a, b), strict=True))
    return torch.where(line.value(node.args[0]) != 0, first, second)


def _of(part: Tensor | None) -> Tensor:
    assert part is not None
    return part


_RULES: dict[str, Callable[[_Line, Expression, _Parts], Tensor | None]] = {
    "add": _sum(1),
    "subtract": _sum(-1),
    "negate": lambda line, node, parts: -_of(parts[0]),
    "multiply": _product,
    "divide": _quotient,
    "matmul": _matmul,
    "where": _where,
    "tanh": _secant(1.0),
    "relu": _secant(0.0),
    "sum": lambda line, node, parts: _of(parts[0]).sum(-1, keepdim=True),
    "mean": lambda line, node, parts: _of(parts[0]).mean(-1, keepdim=True),
    "spread": lambda line, node, parts: _of(parts[0]).expand(
        *_of(parts[0]).shape[:-1], line.values.facts.sizes[str(node.attribute)]
    ),
}


def _only_head(model: Any, features: int) -> nn.Linear:
    """The model's only linear layer on so many features."""
    if model is None:
        raise UsageError("the recording was loaded and has no model; give the head by head=.")
    found = {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.in_features == features
    }
    if len(found) != 1:
        have = f"has {len(found)} ({', '.join(found)})" if found else "has none"
        raise UsageError(
            f"{type(model).__name__} {have} linear layers that read the {features} features of its "
            "recurrent layer; give the one that makes the logits by head=."
        )
    return next(iter(found.values()))


def _compare(recording: Recording, step: int | None, total: Tensor) -> None:
    """Refuse logits that differ from those of the model.

    Raises:
        UsageError: they do.
    """
    try:
        given = first_tensor(recording.output)
    except UsageError:
        return
    if given.dim() == 3:
        given = given.transpose(0, 1) if batch_first(recording.model) else given
        if given.shape != (recording.steps, *total.shape) or not recording.steps:
            return
        last = recording.alive.sum(0) - 1
        place = last if step is None else last.clamp(max=step % recording.steps)
        given = given[place.clamp(min=0), torch.arange(recording.rows)]
    lived = recording.alive.any(0).to(given.device)
    if given.shape != total.shape or (step is None and _both_ways(recording) and given.dim() == 3):
        return
    near = _NEAR.get(total.dtype, 0.1)
    if not torch.allclose(given[lived], total[lived], rtol=near, atol=near):
        off = float((given - total)[lived].abs().max())
        raise UsageError(
            f"the model's own logits differ from the head over its last layer by up to {off:.2g}: "
            "something stands between them. Give the layer and the head that belong together."
        )


def _both_ways(recording: Recording) -> bool:
    return any(part.endswith(".reverse") for part in recording.parts)

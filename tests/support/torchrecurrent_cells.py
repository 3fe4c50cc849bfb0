"""A cell of torchrecurrent with our weights, and its results beside ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from recurra.nn import Recurrent
from support.checks import call_values, close


@dataclass(frozen=True)
class Case:
    """A cell of theirs.

    Attributes:
        theirs: the name of its class.
        weights: for each parameter, the names of our weights; "0" is a block of zeros, "1" the
            identity, "-" alone leaves the parameter as it is made. What is not listed is zero:
            their second bias, and biases that a paper does not print.
        options: how it is constructed.
    """

    theirs: str
    weights: dict[str, str]
    options: dict[str, Any] = field(default_factory=dict)

    def make(self, layer: Recurrent, **options: Any) -> nn.Module:
        """Their cell with the weights of our layer."""
        kind = getattr(import_module("torchrecurrent"), self.theirs)
        cell: nn.Module = kind(
            layer.input_size, layer.hidden_size, **{**self.options, **options}
        ).double()
        with torch.no_grad():
            for name, parameter in cell.named_parameters():
                if self.weights.get(name) == "-":
                    continue
                parameter.zero_()
                for block, part in self._blocks(name, parameter):
                    if block == "1":
                        nn.init.eye_(part)
                    elif block != "0":
                        part.copy_(layer.weight(block))
        return cell

    def parts(self, name: str, values: Tensor) -> list[tuple[str, Tensor]]:
        """(our weight, where it stands) for each weight of ours in a parameter of theirs."""
        return [(block, part) for block, part in self._blocks(name, values) if block not in "01-"]

    def _blocks(self, name: str, values: Tensor) -> list[tuple[str, Tensor]]:
        blocks = self.weights.get(name, "").split()
        places = values.chunk(len(blocks)) if len(blocks) > 1 else (values,) * len(blocks)
        return list(zip(blocks, places, strict=True))


def case(theirs: str, options: dict[str, Any] | None = None, **weights: str) -> Case:
    return Case(theirs, weights, options or {})


Step = Callable[[nn.Module, Tensor, tuple[Tensor, ...]], tuple[Tensor, tuple[Tensor, ...]]]


def one_step(cell: nn.Module, x: Tensor, states: tuple[Tensor, ...]) -> Any:
    """(output, new states) of a cell that gives its states, the first as output."""
    after = cell(x, states if len(states) > 1 else states[0])
    after = after if isinstance(after, tuple) else (after,)
    return after[0], after


def results(
    run: Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, tuple[Tensor, ...]]],
    x: Tensor,
    states: tuple[Tensor, ...],
    weights: Sequence[nn.Parameter],
) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs and last states; gradients for x, the states and the weights."""
    x, states = x.clone().requires_grad_(), tuple(s.clone().requires_grad_() for s in states)
    output, after = run(x, states)
    total = sum((part * torch.linspace(-1, 2, part.numel()).view_as(part)).sum() for part in after)
    total = total + (output * torch.linspace(1, 3, output.numel()).view_as(output)).sum()
    gradients = torch.autograd.grad(total, [x, *states, *weights], materialize_grads=True)
    return [output, *after], list(gradients)


def ours(layer: Recurrent) -> Callable[..., Any]:
    def run(x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        before = tuple(state.unsqueeze(0) for state in states)
        output, after = layer(x, before if len(before) > 1 else before[0])
        return output, tuple(a[0] for a in (after if isinstance(after, tuple) else (after,)))

    return run


def over_time(cell: nn.Module, step: Step = one_step) -> Callable[..., Any]:
    def run(x: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        outputs = []
        for now in x:
            output, states = step(cell, now, states)
            outputs.append(output)
        return torch.stack(outputs), states

    return run


def agree(
    case: Case,
    layer: Recurrent,
    cell: nn.Module,
    step: Step = one_step,
    *,
    starts: int | None = None,
    by_weight: bool = True,
) -> None:
    """Outputs, states and gradients are the same.

    Args:
        case: how their weights are made of ours.
        layer: ours.
        cell: theirs.
        step: how their cell is called.
        starts: the others of our states start at 0, and their gradient is not compared.
        by_weight: whether the gradients of the weights are compared too.
    """
    x, states, _ = call_values(layer, steps=4)
    starts = len(states) if starts is None else starts
    states = tuple(s[0] if k < starts else s[0] * 0 for k, s in enumerate(states))
    own = list(layer.parameters())
    values, gradients = results(ours(layer), x, states, own)
    others = dict(cell.named_parameters())
    expected, others_gradients = results(over_time(cell, step), x, states, list(others.values()))
    for mine, other in zip(values, expected, strict=True):
        close(mine, other)
    for mine, other in zip(gradients[: 1 + starts], others_gradients[: 1 + starts], strict=True):
        close(mine, other)
    if not by_weight:
        return
    count = 1 + len(states)
    with torch.no_grad():  # so that a gradient can be read by the name of its weight
        for parameter, gradient in zip(own, gradients[count:], strict=True):
            parameter.copy_(gradient)
    compared = set()
    for name, gradient in zip(others, others_gradients[count:], strict=True):
        for block, part in case.parts(name, gradient):
            close(layer.weight(block), part)
            compared.add(block)
    assert compared == set(layer.weight_names)

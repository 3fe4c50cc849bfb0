"""What must hold for every cell. Each check raises AssertionError when it does not."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from recurra import cells
from recurra.backends.reference import Reference
from recurra.graph import Cell, Graph
from recurra.nn import Recurrent
from support import backward, naive
from support.samples import SIZES, Sample, sample


def close(ours: Any, theirs: Any, tolerance: float = 1e-11) -> None:
    """Equal to rounding; NaN and infinite values must stand in the same places."""
    ours, theirs = torch.as_tensor(ours), torch.as_tensor(theirs)
    torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance, equal_nan=True)


def features(cell: Cell | str, inputs: int, hidden: int) -> int:
    """The features that a layer of the cell can read: H where it joins x with its units, else I."""
    graph = cells.get(cell).graph
    x = graph.leaf("x")
    assert x is not None
    return inputs if graph.shape(x) == ("I",) else hidden


def layer_of(cell: Cell | str, **options: Any) -> Recurrent:
    """A float64 layer of the cell with I=2 (or as it must be), H=3, all weights drawn anew."""
    torch.manual_seed(0)
    letters = {letter for _, shape in cells.get(cell).graph.leaf_shapes for letter in shape} - {
        "I",
        "H",
    }
    sizes = {letter: SIZES[letter] for letter in letters}
    read = features(cell, 2, 3)
    layer = Recurrent(cell, read, 3, sizes=sizes, dtype=torch.float64, **options)
    for parameter in layer.parameters():  # not the cell's wishes: zeros and ones hide mistakes
        nn.init.normal_(parameter, std=0.6)
    return layer


def call_values(
    layer: Recurrent, steps: int = 3, rows: int = 2
) -> tuple[Tensor, tuple[Tensor, ...], dict[str, Tensor]]:
    """Random x (T, B, I), states (1, B, H), and the further sequences that the cell reads."""
    values = sample(layer.graph, {"I": layer.input_size, **layer.sizes}, steps=steps, rows=rows)
    states = tuple(values.leaves[state].unsqueeze(0) for state in layer.graph.states)
    sequences = values.kind("input")
    x = sequences.pop("x")
    sequences.pop("t", None)
    return x, states, sequences


def check_gradients(cell: Cell | str) -> None:
    """Numbers agree with autograd, first and second order: inputs, states and all weights."""
    layer = layer_of(cell)
    x, states, extra = call_values(layer)
    names = [name for name, _ in layer.named_parameters()]

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        state, rest = rest[: len(states)], rest[len(states) :]
        inputs, weights = rest[: len(extra)], rest[len(extra) :]
        output, after = functional_call(
            layer,
            dict(zip(names, weights, strict=True)),
            (x, state if len(state) > 1 else state[0]),
            {"inputs": dict(zip(extra, inputs, strict=True))},
        )
        return (output, *(after if isinstance(after, tuple) else (after,)))

    values = (x, *states, *extra.values(), *layer.parameters())
    leaves = tuple(value.detach().clone().requires_grad_() for value in values)
    assert gradcheck(run, leaves)
    assert gradgradcheck(run, leaves)


def check_backward(graph: Graph, values: Sample | None = None) -> None:
    """The backward graph gives the gradients that autograd gives through the reference backend."""
    values = values or sample(graph)
    leaves = {leaf: v.clone().requires_grad_() for leaf, v in values.leaves.items()}
    tracked = values.changed(leaves)
    output, after = Reference().run(graph, tracked.weights(), tracked.given(graph))
    torch.manual_seed(1)
    d_output = torch.randn_like(output)
    d_states = [torch.randn_like(state) for state in after]
    loss = (output * d_output).sum()
    loss = loss + sum((a * d).sum() for a, d in zip(after, d_states, strict=True))
    wanted = [leaf for leaf in leaves if leaf.op != "fixed"]
    theirs = torch.autograd.grad(loss, [leaves[leaf] for leaf in wanted], materialize_grads=True)
    ours = backward.gradients(graph, values, d_output, d_states)
    for leaf, gradient in zip(wanted, theirs, strict=True):
        close(ours[leaf.attribute], gradient)


def check_value(graph: Graph, values: Sample | None = None) -> None:
    """The reference backend gives what the naive evaluation of the same graph gives."""
    values = values or sample(graph)
    output, after = Reference().run(graph, values.weights(), values.given(graph))
    expected, states, _ = naive.run(graph, values)
    close(output, expected)
    for ours, theirs in zip(after, states, strict=True):
        close(ours, theirs.copy())


def check_lengths(cell: Cell | str) -> None:
    """A row with a length gives what it gives alone: outputs 0 after its end, its state kept."""
    layer = layer_of(cell)
    x, states, extra = call_values(layer, steps=4, rows=3)
    lengths = [2, 0, 4]

    def run(rows: Any, steps: int, **options: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        state = tuple(part[:, rows] for part in states)
        inputs = {name: value[:steps, rows] for name, value in extra.items()}
        output, after = layer(
            x[:steps, rows], state if len(state) > 1 else state[0], inputs=inputs, **options
        )
        return output, after if isinstance(after, tuple) else (after,)

    output, after = run(slice(None), 4, lengths=lengths)
    for row, length in enumerate(lengths):
        alone, last = run([row], length)
        close(output[:length, row], alone[:, 0])
        assert not output[length:, row].any()
        for ours, theirs in zip(after, last, strict=True):
            close(ours[:, row], theirs[:, 0])


def check_against_torch(layer: Recurrent, theirs: nn.RNNBase) -> None:
    """With the same weights, in torch's order of gates, it gives torch's outputs and states."""
    own = list(layer.parameters())
    with torch.no_grad():
        input_weight, recurrent_weight, input_bias, recurrent_bias = theirs.parameters()
        recurrent_bias.zero_()
        for parameter, value in zip(own, (input_weight, recurrent_weight, input_bias), strict=True):
            parameter.copy_(value)
    x, states, _ = call_values(layer)
    state = states if len(states) > 1 else states[0]
    (output, after), (expected, last) = layer(x, state), theirs(x, state)
    close(output, expected)
    for ours, other in zip(_tuple(after), _tuple(last), strict=True):
        close(ours, other)


def _tuple(state: Any) -> tuple[Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)

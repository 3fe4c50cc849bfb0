"""What a layer hands to the one above beside its output, and layers that share their weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recurra.backends import choice
from recurra.backends.cpu import Cpu
from recurra.errors import CellError, UsageError
from recurra.graph import cell, sigmoid, tanh
from recurra.nn import Recurrent
from support.checks import close

NAMES = ("lstm_depth_gated", "lstm_grid", "lstm_grid_priority")


def made(name: str, inputs: int = 3, hidden: int = 3, **options) -> Recurrent:
    torch.manual_seed(0)
    layer = Recurrent(name, inputs, hidden, dtype=torch.float64, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    return layer


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def peephole_stack(layer: Recurrent, x: Tensor, depth: int) -> Tensor:
    """The paper's equations for a stack of depth-gated layers, written once more in torch."""
    below = torch.zeros(len(x), x.shape[1], layer.hidden_size, dtype=torch.float64)
    for number in range(depth):
        w = {name: layer.weight(name, number) for name in layer.weight_names}
        h = c = torch.zeros_like(below[0])
        outputs, memories = [], []
        for now, lower in zip(x, below, strict=True):

            def net(gate, w=w, now=now, h=h):
                return now @ w[f"W_{gate}"].T + h @ w[f"U_{gate}"].T + w[f"b_{gate}"]

            d = (now @ w["W_d"].T + w["v_d"] * c + w["u_d"] * lower + w["b_d"]).sigmoid()
            i, f = (net(gate).add(w[f"v_{gate}"] * c).sigmoid() for gate in "if")
            c = d * lower + f * c + i * net("g").tanh()
            h = net("o").add(w["v_o"] * c).sigmoid() * c.tanh()
            outputs.append(h)
            memories.append(c)
        x, below = torch.stack(outputs), torch.stack(memories)
    return x


def test_depth_gated_stack_against_its_equations() -> None:
    layer = made("lstm_depth_gated", 2, num_layers=3)
    x = drawn(4, 2, 2)
    output, (h, _) = layer(x)
    close(output, peephole_stack(layer, x, 3))
    close(h[2], output[-1])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_through_a_stack(name: str) -> None:
    layer = made(name, 2, num_layers=2, bidirectional=True)
    assert torch.autograd.gradcheck(
        lambda x, *_: layer(x, lengths=[3, 2])[0],
        (drawn(3, 2, 2).requires_grad_(), *layer.parameters()),
        fast_mode=True,
    )


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_stack_with_lengths_are_those_alone(name: str) -> None:
    layer = made(name, 2, num_layers=3, bidirectional=True)
    x = drawn(5, 3, 2)
    output, after = layer(x, lengths=[5, 2, 3])
    for row, length in enumerate((5, 2, 3)):
        alone, last = layer(x[:length, row : row + 1])
        close(output[:length, row], alone[:, 0])
        for ours, theirs in zip(after, last, strict=True):
            close(ours[:, row], theirs[:, 0])


@pytest.mark.parametrize("name", NAMES)
def test_fused_layers_of_a_stack_give_the_same(name: str, monkeypatch) -> None:
    layer = made(name, 5, 19, num_layers=3, bidirectional=True)
    x = drawn(4, 3, 5)
    expected = torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters()))
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=1), choice.BACKENDS[-1]))
    found = torch.autograd.grad(layer(x)[0].square().sum(), list(layer.parameters()))
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs, 1e-9)


def single(stack: Recurrent, number: int, direction: str) -> Recurrent:
    """One layer and direction of a stack as a layer of its own."""
    layer = made("lstm_depth_gated", stack.weight("W_i", number).shape[1])
    for name in stack.weight_names:
        layer.set_weight(name, stack.weight(name, number, direction))
    return layer


def histories(layer: Recurrent, x: Tensor) -> tuple[Tensor, Tensor]:
    """The h and c after every step, read off one step at a time."""
    states = []
    for now in x:
        states.append(layer(now[None], states[-1] if states else None)[1])
    h, c = zip(*states, strict=True)
    return torch.cat(h), torch.cat(c)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_two_layers_are_the_upper_one_given_what_is_below(bidirectional: bool) -> None:
    stack = made("lstm_depth_gated", num_layers=2, bidirectional=bidirectional)
    x = drawn(4, 2, 3)
    turn = {"forward": lambda values: values, "reverse": lambda values: values.flip(0)}
    below = {}
    for way in stack.directions:
        h, c = histories(single(stack, 0, way), turn[way](x))
        below[way] = turn[way](h), turn[way](c)
    joined = torch.cat([h for h, _ in below.values()], -1)
    outputs = []
    for way, (_, c) in below.items():
        memory = {"c_below": turn[way](c)}
        outputs.append(turn[way](single(stack, 1, way)(turn[way](joined), inputs=memory)[0]))
    close(stack(x)[0], torch.cat(outputs, -1))


def test_a_first_depth_gated_layer_is_the_lstm_with_peepholes() -> None:
    gated, plain = made("lstm_depth_gated"), made("lstm_peephole")
    for name in plain.weight_names:
        plain.set_weight(name, gated.weight(name))
    x = drawn(4, 2, 3)
    close(gated(x)[0], plain(x)[0])


def test_tied_layers_are_layers_with_equal_weights() -> None:
    tied, free = made("lstm_grid", num_layers=3, tied=True), made("lstm_grid", num_layers=3)
    assert sum(p.numel() for p in tied.parameters()) * 3 == sum(
        p.numel() for p in free.parameters()
    )
    for name in free.weight_names:
        for layer in range(3):
            free.set_weight(name, tied.weight(name, layer), layer)
    x = drawn(4, 2, 3)
    for ours, theirs in zip(tied(x)[1], free(x)[1], strict=True):
        close(ours, theirs)
    assert "tied=True" in repr(tied)


def test_tied_layers_read_as_many_features_as_they_give() -> None:
    with pytest.raises(UsageError, match="layer 0 would read 2 features, the others 3"):
        Recurrent("lstm", 2, 3, num_layers=2, tied=True)
    Recurrent("lstm", 2, 3, tied=True)


def test_own_function_reads_the_layer_below() -> None:
    def gated(p, x, h_below, h):
        d = sigmoid(p.W_d @ x + p.b_d)
        h = d * h_below + (1 - d) * tanh(p.W_h @ x + p.U_h @ h)
        return h

    layer = made(gated, num_layers=2)
    assert layer.graph.state_names == ("h",)
    assert layer.handed_on == {"h_below": "h"}
    assert layer(drawn(4, 2, 3))[0].shape == (4, 2, 3)


def test_the_value_below_must_be_one_of_the_cell() -> None:
    with pytest.raises(CellError, match="c_below is the value c of the layer below, and the cell"):

        @cell(state="h")
        def wrong(p, x, c_below, h):
            h = tanh(p.W_h @ x + p.U_h @ h) + c_below
            return h

    with pytest.raises(CellError, match=r"h_below has the shape \('P',\), and h has \('H',\)"):

        @cell(state="h", shapes={"h_below": "P"})
        def other_size(p, x, h_below, h):
            h = tanh(p.W_h @ x + p.U_h @ h + p.V_h @ h_below)
            return h


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_a_stream_hands_values_on_as_well(name: str, layers: int) -> None:
    layer = made(name, num_layers=layers)
    x = drawn(4, 2, 3)
    stream = layer.stream(2)
    close(torch.stack([stream.step(now) for now in x]), layer(x)[0].detach(), 1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_runs_in_kernels_like_one_layer(name: str) -> None:
    assert made(name, num_layers=2).explain().startswith("cpu: ")
    assert made(name).explain().startswith("cpu: ")

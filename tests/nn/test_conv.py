"""Cells over maps: against loops over places, and the same cell without a map."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra import ConvGRU, ConvLSTM, ConvRecurrent, Recurrent, cells
from recurra.errors import ShapeError, UsageError
from recurra.graph import cell, tanh
from recurra.nn import conv
from support.checks import close
from support.samples import SIZES

Array = np.ndarray


def drawn(layer: ConvRecurrent) -> ConvRecurrent:
    """All weights anew: a cell's wishes of 0 and 1 hide mistakes."""
    torch.manual_seed(0)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer


def maps(*shape: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(*shape, dtype=torch.float64)


def looped(value: Array, kernel: Array) -> Array:
    """(B, I, *space) to (B, H, *space), number by number, zeros around the map."""
    space, widths = value.shape[2:], kernel.shape[2:]
    after = np.zeros((value.shape[0], kernel.shape[0], *space))
    for place in product(*map(range, space)):
        for offset in product(*map(range, widths)):
            source = tuple(p + o - w // 2 for p, o, w in zip(place, offset, widths, strict=True))
            if all(0 <= s < size for s, size in zip(source, space, strict=True)):
                part = value[(slice(None), slice(None), *source)]
                weights = kernel[(slice(None), slice(None), *offset)]
                after[(slice(None), slice(None), *place)] += part @ weights.T
    return after


def sigmoid(a: Array) -> Array:
    return 1 / (1 + np.exp(-a))


Read = Callable[..., Array]


def lstm_step(read: Read, vector: Read, x: Array, h: Array, c: Array) -> tuple[Array, ...]:
    """Shi et al. 2015, equation 3."""
    i = sigmoid(read("i", x, h) + vector("v_i") * c)
    f = sigmoid(read("f", x, h) + vector("v_f") * c)
    c = f * c + i * np.tanh(read("g", x, h))
    o = sigmoid(read("o", x, h) + vector("v_o") * c)
    return o * np.tanh(c), c


def gru_step(read: Read, vector: Read, x: Array, h: Array) -> tuple[Array, ...]:
    """Ballas et al. 2016, whose z is 1 - z here."""
    z, r = sigmoid(read("z", x, h)), sigmoid(read("r", x, h))
    return (z * h + (1 - z) * np.tanh(read("n", x, r * h)),)


@pytest.mark.parametrize(("door", "step"), [(ConvLSTM, lstm_step), (ConvGRU, gru_step)])
@pytest.mark.parametrize(("kernel", "space"), [((3,), (4,)), ((3, 5), (4, 3))])
def test_against_loops_over_all_places(
    door: Any, step: Any, kernel: tuple[int, ...], space: tuple[int, ...]
) -> None:
    layer = drawn(door(2, 3, kernel, dims=len(kernel), dtype=torch.float64))
    x = maps(3, 2, 2, *space)
    states = tuple(maps(1, 2, 3, *space) for _ in layer.graph.states)
    output, after = layer(x, states if len(states) > 1 else states[0])
    own = {name: layer.weight(name).detach().numpy() for name in layer.weight_names}

    def vector(name: str) -> Array:
        return own[name].reshape(-1, *[1] * len(space))

    def read(gate: str, x: Array, h: Array) -> Array:
        return looped(x, own[f"W_{gate}"]) + looped(h, own[f"U_{gate}"]) + vector(f"b_{gate}")

    before = tuple(state[0].numpy() for state in states)
    for now, shown in zip(x.numpy(), output, strict=True):
        before = step(read, vector, now, *before)
        close(shown, before[0])
    for ours, theirs in zip(after if len(states) > 1 else (after,), before, strict=True):
        close(ours[0], theirs)


def over_maps() -> list[str]:
    """The cells that can be read over maps."""
    found = []
    for name in cells.names():
        try:
            conv._check(cells.get(name).graph)
        except UsageError:
            continue
        found.append(name)
    return found


@pytest.mark.parametrize("name", over_maps())
def test_a_kernel_of_one_place_is_the_cell_at_each_place(name: str) -> None:
    graph = cells.get(name).graph
    letters = {letter for _, shape in graph.leaf_shapes for letter in shape} - {"I", "H"}
    sizes = {letter: SIZES[letter] for letter in letters}
    read = 2 if graph.shape(graph.inputs[0]) == ("I",) else 3
    layer = drawn(ConvRecurrent(name, read, 3, 1, sizes=sizes, dtype=torch.float64))
    plain = Recurrent(name, read, 3, sizes=sizes, dtype=torch.float64)
    for weight in plain.weight_names:
        plain.set_weight(weight, layer.weight(weight).view_as(plain.weight(weight)))
    x = maps(3, 2, read, 4, 5)
    output, _ = layer(x)
    expected, _ = plain(x.permute(0, 1, 3, 4, 2).reshape(3, 40, read))
    close(output, expected.view(3, 2, 4, 5, -1).permute(0, 1, 4, 2, 3))


def test_most_cells_can_be_read_over_maps() -> None:
    found = over_maps()
    assert {"lstm", "gru", "lstm_layernorm", "lstm_projection", "slstm", "rhn_2"} <= set(found)
    assert not {"mlstm", "lstm_phased"} & set(found)


@pytest.mark.parametrize(("name", "dims"), [("gru_reset_before", 1), ("lstm_peephole", 2)])
def test_gradients(name: str, dims: int) -> None:
    layer = drawn(ConvRecurrent(name, 2, 2, 3, dims=dims, dtype=torch.float64))
    x = maps(2, 2, 2, *(3, 2)[:dims]).requires_grad_()

    def run(x: Tensor, *_: Tensor) -> Tensor:
        return layer(x)[0]

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))
    assert torch.autograd.gradgradcheck(run, (x,))


def test_two_layers_are_one_on_the_other() -> None:
    layer = drawn(ConvRecurrent("gru", 2, 2, 3, num_layers=2, dtype=torch.float64))
    x = maps(3, 2, 2, 4, 4)
    output, state = layer(x)
    lower, upper = (ConvRecurrent("gru", 2, 2, 3, dtype=torch.float64) for _ in range(2))
    for number, one in enumerate((lower, upper)):
        for weight in one.weight_names:
            one.set_weight(weight, layer.weight(weight, number))
    middle, first = lower(x)
    expected, second = upper(middle)
    close(output, expected)
    close(state, torch.cat([first, second]))


def test_both_directions_and_lengths() -> None:
    layer = drawn(ConvRecurrent("lstm", 2, 3, 3, dims=1, bidirectional=True, dtype=torch.float64))
    x = maps(5, 3, 2, 4)
    lengths = [2, 0, 5]
    output, state = layer(x, lengths=torch.tensor(lengths))
    assert output.shape == (5, 3, 6, 4)
    for row, length in enumerate(lengths):
        assert not output[length:, row].any()
        alone, last = layer(x[:length, row : row + 1])
        close(output[:length, row], alone[:, 0])
        for ours, theirs in zip(state, last, strict=True):
            close(ours[:, row], theirs[:, 0])


def test_the_reverse_direction_reads_from_the_end() -> None:
    layer = drawn(ConvGRU(2, 3, 3, dims=1, bidirectional=True, dtype=torch.float64))
    for weight in layer.weight_names:
        layer.set_weight(weight, layer.weight(weight, 0, "reverse").clone())
    x = maps(5, 3, 2, 4)
    close(layer(x)[0][:, :, :3], layer(x.flip(0))[0].flip(0)[:, :, 3:])


def test_batch_first_and_a_state_that_goes_on() -> None:
    layer = drawn(ConvGRU(2, 3, 3, learn_initial_state=True, batch_first=True))
    x = maps(2, 5, 2, 4, 3).float()
    whole, last = layer(x)
    start = layer.get_parameter("initial_h_l0").detach()
    close(layer(x, start.view(1, 1, 3, 1, 1).expand(1, 2, 3, 4, 3))[0], whole, 1e-6)
    first, state = layer(x[:, :2])
    second, after = layer(x[:, 2:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(after, last)
    whole.sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
    again = ConvGRU(2, 3, 3, learn_initial_state=True, batch_first=True)
    again.load_state_dict(layer.state_dict())
    torch.testing.assert_close(again(x)[0], whole)


def test_no_steps_and_no_rows() -> None:
    layer = ConvLSTM(2, 3, 3)
    assert layer(torch.zeros(0, 2, 2, 4, 4))[0].shape == (0, 2, 3, 4, 4)
    assert layer(torch.zeros(3, 0, 2, 4, 4))[0].shape == (3, 0, 3, 4, 4)


def test_weights_are_counted_as_in_the_paper() -> None:
    """Four kernels on x and four on h, four biases; three peepholes, one value a channel."""
    layer = ConvLSTM(2, 3, (3, 5))
    expected = 4 * (3 * 2 * 15 + 3 * 3 * 15 + 3) + 3 * 3
    assert sum(parameter.numel() for parameter in layer.parameters()) == expected
    assert layer.weight("U_f").shape == (3, 3, 3, 5)
    assert layer.weight("U_f").abs().max() <= 1 / (3 * 15) ** 0.5
    assert layer.weight("b_f").tolist() == [1.0] * 3


def test_an_identity_kernel_copies_its_place() -> None:
    layer = ConvRecurrent("elman_relu", 2, 2, 3, init={"U_h": "identity", "W_h": 0.0, "b_h": 0.0})
    state = maps(1, 2, 2, 4, 4).abs().float()
    close(layer(maps(3, 2, 2, 4, 4).float(), state)[1], state)


def test_explain_says_why_there_is_no_kernel() -> None:
    said = ConvLSTM(2, 3, 3).explain()
    assert said.startswith("reference: ")
    assert said.endswith("not cpu: its kernels multiply by matrices, and this layer convolves")


@cell(state="h")
def two_sequences(p, x, y, h):
    h = tanh(p.W_h @ x + p.V_h @ y + p.U_h @ h)
    return h


@cell(state="h", fixed={"M_h": lambda row, column, sizes: row > column})
def masked(p, x, h):
    h = tanh(p.W_h @ x + (p.M_h * p.U_h) @ h)
    return h


def refused(*args: Any, **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        ConvRecurrent(*args, **options)
    return str(caught.value)


def test_what_is_refused() -> None:
    assert "cell mlstm cannot convolve" in refused("mlstm", 2, 3, 3)
    assert "cell masked cannot convolve" in refused(masked, 2, 3, 3)
    assert "cell two_sequences reads y; over maps" in refused(two_sequences, 2, 3, 3)
    assert "kernel_size=4 with dims=2; give one odd number, or 2" in refused("lstm", 2, 3, 4)
    assert "kernel_size=(3,) with dims=2" in refused("lstm", 2, 3, (3,))
    assert "dims=3; a map has 1 or 2 dimensions" in refused("lstm", 2, 3, 3, dims=3)
    assert "in_channels=0" in refused("lstm", 0, 3, 3)
    layer = ConvLSTM(2, 3, 3)
    with pytest.raises(
        ShapeError, match=r"x has the shape \(4, 2, 5, 5\); this layer reads \(T, B"
    ):
        layer(torch.zeros(4, 2, 5, 5))
    with pytest.raises(ShapeError, match=r"the state has the shapes .* of h, c is"):
        layer(torch.zeros(4, 2, 2, 5, 5), torch.zeros(1, 2, 3, 5, 5))

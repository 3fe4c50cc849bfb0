"""The grid LSTM on grids: against its equations, against the cell over time, and its errors."""

from __future__ import annotations

import pytest
import torch

from recurra.errors import ShapeError, UsageError
from recurra.nn import GridBlock, GridLSTM, Recurrent
from support.checks import close

H = 3


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def grid(*args, **options) -> GridLSTM:
    torch.manual_seed(0)
    return GridLSTM(*args, dtype=torch.float64, **options)


@pytest.mark.parametrize("priority", [(), (1,), (0, 2)])
def test_block_is_an_lstm_along_each_dimension(priority: tuple[int, ...]) -> None:
    """Each dimension is torch's LSTM cell that reads all h, but for tanh(o * m) in o * tanh(m)."""
    torch.manual_seed(0)
    block = GridBlock(3, H, priority, dtype=torch.float64)
    h, m = drawn(3, 2, H), drawn(6, 2, H)[3:]
    found, memories = block(tuple(h), tuple(m))
    seen = list(h)
    for number in sorted(range(3), key=lambda k: k in priority):
        theirs = torch.nn.LSTMCell(3 * H, H, bias=False, dtype=torch.float64)
        i, f, o, g = block.weight[number].chunk(4)
        with torch.no_grad():
            theirs.weight_ih.copy_(torch.cat([i, f, g, o]))
            theirs.weight_hh.zero_()
        read = [found[k] if number in priority and k not in priority else h[k] for k in range(3)]
        _, memory = theirs(torch.cat(read, -1), (torch.zeros_like(h[0]), m[number]))
        seen[number] = (torch.cat(read, -1) @ o.T).sigmoid().mul(memory).tanh()
        close(memories[number], memory)
        close(found[number], seen[number])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("priority", [False, True])
def test_one_dimension_is_the_cell_over_time(tied: bool, priority: bool) -> None:
    module = grid(1, 2, H, 3, tied=tied, priority=priority)
    name = "lstm_grid_priority" if priority else "lstm_grid"
    layer = Recurrent(name, H, H, num_layers=3, tied=tied, dtype=torch.float64)
    for number in range(1 if tied else 3):
        for dimension, end in enumerate(("", "_d")):
            parts = module.blocks[number].weight[dimension].chunk(4)
            for gate, part in zip("ifog", parts, strict=True):
                layer.set_weight(f"U_{gate}{end}", part[:, :H], number)
                layer.set_weight(f"W_{gate}{end}", part[:, H:], number)
    x = drawn(5, 2, 2)
    h, m = (x @ module.weight_ih.T).chunk(2, -1)
    close(module(x), layer(h, inputs={"m_d_below": m})[0])


def test_grid_of_two_dimensions_point_by_point() -> None:
    """The last point reads its neighbours in both dimensions, and these the first."""
    module = grid(2, 2, H)
    x = drawn(2, 2, 1, 2)
    (block,) = module.blocks
    h, m = (x @ module.weight_ih.T).chunk(2, -1)
    zero = torch.zeros(1, H, dtype=torch.float64)
    first = block((zero, zero, h[0, 0]), (zero, zero, m[0, 0]))
    right = block((zero, first[0][1], h[0, 1]), (zero, first[1][1], m[0, 1]))
    below = block((first[0][0], zero, h[1, 0]), (first[1][0], zero, m[1, 0]))
    last = block((right[0][0], below[0][1], h[1, 1]), (right[1][0], below[1][1], m[1, 1]))
    output = module(x)
    for point, (hs, _) in {(0, 0): first, (0, 1): right, (1, 0): below, (1, 1): last}.items():
        close(output[point], hs[-1])


def test_gradients_on_a_grid() -> None:
    module = grid(2, 2, H, 2, priority=True)
    values = (drawn(2, 2, 1, 2).requires_grad_(), *module.parameters())
    assert torch.autograd.gradcheck(lambda x, *_: module(x), values)


def test_weights_by_the_paper() -> None:
    """For each dimension 4 matrices (H, N * H); and two that x enters through."""
    count = sum(p.numel() for p in GridLSTM(2, 5, H, 4).parameters())
    assert count == 4 * (3 * 4 * H * 3 * H) + 2 * H * 5
    tied = sum(p.numel() for p in GridLSTM(2, 5, H, 4, tied=True).parameters())
    assert tied == 3 * 4 * H * 3 * H + 2 * H * 5


def test_empty_grids() -> None:
    assert grid(2, 2, H)(drawn(0, 4, 1, 2)).shape == (0, 4, 1, H)
    assert grid(2, 2, H)(drawn(2, 4, 0, 2)).shape == (2, 4, 0, H)


def test_mistakes_are_named() -> None:
    with pytest.raises(ShapeError, match="a grid of 2 dimensions needs 2 sizes"):
        grid(2, 2, H)(drawn(3, 1, 2))
    with pytest.raises(UsageError, match="the dimensions are 0 to 1"):
        GridBlock(2, H, (2,))
    with pytest.raises(UsageError, match="num_layers=0"):
        GridLSTM(2, 2, H, 0)

"""Units that rest are multiplied by nothing, in either direction, and change no result."""

from __future__ import annotations

import pytest
import torch

from recurra import Recurrent
from recurra.backends.cpu import assembled, moving, run
from recurra.backends.cpu.backward import backward
from recurra.backends.cpu.program import forward_program, normal
from recurra.graph import Cell, cell, floor, sigmoid, tanh, where
from support.fused import assert_same, fused, fused_on

PERIODS = [(1,), (3,), (50,), (1, 2, 4, 8, 16), (2, 5, 7), (4, 1, 3)]
SHAPES = [(1, 1, 1), (7, 5, 19), (11, 9, 131)]  # T, B, H: no multiple of any vector or tile
NAN = float("nan")


@pytest.fixture(autouse=True)
def modules_of_any_size(monkeypatch):
    """Small products and modules leave out steps too."""
    monkeypatch.setattr(moving, "_WORTH", 0)
    monkeypatch.setattr(moving, "_MODULE", 1)


def clocked(periods: tuple[int, ...], moving_first: bool = False) -> Cell:
    """Modules of any periods, each of which moves in the steps that its period divides."""

    def period(unit, sizes):
        return periods[unit * len(periods) // sizes["H"]]

    @cell(state="h", fixed={"T_h": period})
    def modules(p, x, t, h):
        r = t - p.T_h * floor(t / p.T_h) > 0.5
        n = tanh(p.W @ x + p.U @ h + p.b)
        h = where(1 - r, n, h) if moving_first else where(r, h, n)
        return h

    return modules


@cell(state="h", shapes={"m": "H"})
def resting(p, x, m, h):
    h = where(m, h, tanh(p.W @ x + p.U @ h))
    return h


@cell(state="h", shapes={"m": "H"})
def moving_where_marked(p, x, m, h):
    h = where(m, tanh(p.W @ x + p.U @ h), h)
    return h


@cell(state="h, c", shapes={"m": "H"})
def half_resting(p, x, m, h, c):
    """Two products of h: one of units that rest, one of units that never do."""
    n = tanh(p.W @ x + p.U @ h)
    c = 0.5 * c + sigmoid(p.V @ h)
    h = where(m, h, n * c)
    return h, c


@cell(state="h, c", shapes={"m": "H"})
def used_at_rest(p, x, m, h, c):
    """What a resting unit computes flows elsewhere."""
    n = tanh(p.W @ x + p.U @ h)
    c = 0.5 * c + n
    h = where(m, h, n)
    return h, c


@cell(state="h", shapes={"m": "H"})
def read_by_others(p, x, m, h):
    """What a resting unit computes enters a product that moving units read."""
    n = tanh(p.U @ (h * sigmoid(p.V @ h)) + p.W @ x)
    h = where(m, h, n)
    return h


@cell(state="h", output="n", shapes={"m": "H"})
def given_out_at_rest(p, x, m, h):
    """The layer gives out what a resting unit computes and does not take."""
    n = tanh(p.W @ x + p.U @ h)
    h = where(m, h, n)
    return h


MARKED = [resting, moving_where_marked, half_resting, used_at_rest, read_by_others]
MARKED += [given_out_at_rest]


def layer_of(own: Cell, h: int, dtype=torch.float64, **options) -> Recurrent:
    torch.manual_seed(1)
    return Recurrent(own, 3, h, dtype=dtype, **options)


def input_of(t: int, b: int, dtype=torch.float64) -> torch.Tensor:
    torch.manual_seed(2)
    return torch.randn(t, b, 3, dtype=dtype)


@pytest.mark.parametrize("periods", PERIODS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("moving_first", [False, True])
def test_gradients_of_modules(periods, shape, moving_first):
    t, b, h = shape
    assert_same(layer_of(clocked(periods, moving_first), h), input_of(t, b))


@pytest.mark.parametrize("periods", [(1, 2, 4, 8, 16), (2, 5, 7)], ids=str)
def test_float32(periods):
    layer = layer_of(clocked(periods), 131, torch.float32)
    assert_same(layer, input_of(11, 9, torch.float32))


@pytest.mark.parametrize("periods", [(1, 2, 4), (3, 2)], ids=str)
def test_lengths_and_resets(periods):
    layer, x = layer_of(clocked(periods), 37, bidirectional=True), input_of(6, 5)
    reset = torch.zeros(6, 5, dtype=torch.bool)
    reset[2, 1] = reset[4, 3] = True
    assert_same(layer, x, lengths=torch.tensor([6, 3, 0, 4, 6]))
    assert_same(layer, x, lengths=torch.tensor([6, 3, 0, 4, 6]), reset=reset)


@pytest.mark.parametrize("own", MARKED, ids=str)
@pytest.mark.parametrize("rows", [1, 5])
def test_marks_of_any_kind(own, rows):
    """Modules that differ from row to row, or are the same in all rows; and not only 0 and 1."""
    marks = torch.randint(-1, 2, (6, rows, 5), dtype=torch.float64).repeat_interleave(31, -1)
    marks = marks.expand(6, 5, -1)
    layer, x = layer_of(own, 155), input_of(6, 5)
    assert_same(layer, x, inputs={"m": marks})
    assert_same(layer, x, inputs={"m": marks}, lengths=torch.tensor([2, 6, 0, 4, 5]))


@pytest.mark.parametrize(("rows", "by_units"), [(33, False), (2, True)])
def test_one_result_for_every_number_of_threads(rows, by_units, monkeypatch):
    layer = layer_of(clocked((1, 3, 2, 8)), 411, torch.float32)
    x = input_of(9, rows, torch.float32)
    original, ways = run.team_for, []

    def spied(*given):
        ways.append(original(*given))
        return ways[-1]

    monkeypatch.setattr(run, "team_for", spied)
    found = fused_on((1, 2, 3), layer, x)
    assert ways[-2:] == [(3, by_units)] * 2  # forward and backward
    for other in found[1:]:
        assert [name for name in other if not torch.equal(found[0][name], other[name])] == []


@pytest.mark.parametrize("own", [resting, moving_where_marked], ids=str)
@pytest.mark.parametrize("moving_units", [700, 100])
def test_weights_of_resting_units_are_not_read(own, moving_units):
    """The weights of half of the units are NaN. Where these rest, no product meets one of them."""
    marks = torch.full((4, 7, 1000), 1.0 if own is resting else 0.0, dtype=torch.float64)
    marks[..., :moving_units] = 1 - marks[..., :moving_units]
    layer, x = layer_of(own, 1000), input_of(4, 7)
    weights = next(w for w in layer.parameters() if w.shape == (1000, 1000))
    torch.nn.init.zeros_(weights.data[500:])
    expected = fused(layer, x, inputs={"m": marks})
    torch.nn.init.constant_(weights.data[500:], NAN)
    found = fused(layer, x, inputs={"m": marks})
    same = all(torch.equal(found[name], value) for name, value in expected.items())
    assert same == (moving_units <= 500)
    assert found["d start 0"].isfinite().all() == (moving_units <= 500)


@pytest.mark.parametrize("lengths", [None, [12, 3, 12, 7]], ids=str)
def test_multiplications_for_a_weight(lengths, monkeypatch):
    """Exactly the steps count in which a unit moves."""
    periods, h, counted = (1, 3, 5), 60, []
    original = moving.weight_gradient

    def spied(d, x):
        counted.append(d.shape[1] * x.numel())
        return original(d, x)

    monkeypatch.setattr(moving, "weight_gradient", spied)
    call = {} if lengths is None else {"lengths": torch.tensor(lengths)}
    layer, x = layer_of(clocked(periods), h), input_of(12, 4)
    found = fused(layer, x, **call)
    beats = [
        t % period == 0
        for length in lengths or [12] * 4
        for t in range(length)
        for period in periods
    ]
    assert sum(counted) == sum(beats) * (h // 3) * h
    monkeypatch.setattr(assembled, "moving_gradient", whole)
    other = fused(layer, x, **call)
    assert all(torch.equal(found[name], value) for name, value in other.items())


def whole(d, x, moves):
    return moving.weight_gradient(d.flatten(0, 1), x.flatten(0, 1))


def test_marks_without_modules_take_one_product(monkeypatch):
    monkeypatch.setattr(moving, "_MODULE", 2)
    shapes, original = [], moving.weight_gradient
    monkeypatch.setattr(
        moving, "weight_gradient", lambda d, x: shapes.append(d.shape) or original(d, x)
    )
    marks = torch.randint(0, 2, (6, 5, 55), dtype=torch.float64)
    assert_same(layer_of(resting, 55), input_of(6, 5), inputs={"m": marks})
    assert shapes == [(30, 55)]


@pytest.mark.parametrize(
    ("own", "known"),
    [
        (resting, 1),
        (moving_where_marked, 1),
        (half_resting, 1),
        (used_at_rest, 0),
        (given_out_at_rest, 0),
    ],
    ids=str,
)
def test_gradients_that_rest(own, known):
    graph = normal(own.graph)
    found = backward(graph, forward_program(graph))
    assert len(found.clocks) == known
    assert all(
        clock.rests == (2 if own is moving_where_marked else 1) for clock in found.clocks.values()
    )

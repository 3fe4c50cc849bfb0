"""torch's RNN, LSTM, GRU referee their namesakes: output, states, gradients, each shared option."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import recurra
from recurra.errors import UsageError

T, B, I, H = 6, 4, 5, 7

KINDS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu"}),
    ("LSTM", {}),
    ("LSTM", {"proj_size": 3}),
    ("GRU", {}),
]
SHAPES = [
    dict(zip(("num_layers", "bidirectional", "bias"), values, strict=True))
    for values in itertools.product((1, 3), (False, True), (True, False))
]


def pair(kind: str, dtype: torch.dtype = torch.float64, **options):
    """Ours and theirs, made under the same seed."""
    torch.manual_seed(3)
    ours = getattr(recurra, kind)(I, H, dtype=dtype, **options)
    torch.manual_seed(3)
    theirs = getattr(nn, kind)(I, H, dtype=dtype, **options)
    return ours, theirs


def parts(state) -> tuple[torch.Tensor, ...]:
    return (state,) if isinstance(state, torch.Tensor) else tuple(state)


def random_state(layer, rows: int | None):
    torch.manual_seed(5)
    like = layer.initial_state(rows or 1)
    made = tuple(torch.randn_like(part) for part in parts(like))
    made = made if rows else tuple(part.squeeze(1) for part in made)
    return made if len(made) > 1 else made[0]


def results(layer, x, state) -> list[tuple[str, torch.Tensor]]:
    """Output, states, and the gradients of a weighted sum of both, each with its name."""
    state = tuple(p.clone().requires_grad_() for p in parts(state))
    inside = x.data if isinstance(x, PackedSequence) else x
    inside = inside.clone().requires_grad_()
    given = x._replace(data=inside) if isinstance(x, PackedSequence) else inside
    output, last = layer(given, state if len(state) > 1 else state[0])
    value = output.data if isinstance(output, PackedSequence) else output
    torch.manual_seed(9)
    total = (value * torch.randn_like(value)).sum()
    for part in parts(last):
        total = total + (part * torch.randn_like(part)).sum()
    names = [name for name, _ in layer.named_parameters()]
    wanted = [inside, *state, *layer.parameters()]
    gradients = torch.autograd.grad(total, wanted)
    labels = ["d_x", *(f"d_state{k}" for k in range(len(state))), *(f"d_{n}" for n in names)]
    return [
        ("output", value),
        *((f"state{k}", part) for k, part in enumerate(parts(last))),
        *zip(labels, gradients, strict=True),
    ]


def assert_same(ours, theirs, x, state, tolerance: float = 1e-10) -> None:
    a, b = results(ours, x, state), results(theirs, x, state)
    assert [name for name, _ in a] == [name for name, _ in b]
    for (name, mine), (_, other) in zip(a, b, strict=True):
        torch.testing.assert_close(
            mine, other, rtol=tolerance, atol=tolerance, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_gives_torchs_numbers(kind, options, shape):
    ours, theirs = pair(kind, **options, **shape)
    assert_same(ours, theirs, torch.randn(T, B, I, dtype=torch.float64), random_state(ours, B))


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_batch_first(kind, options):
    ours, theirs = pair(kind, batch_first=True, num_layers=2, bidirectional=True, **options)
    assert_same(ours, theirs, torch.randn(B, T, I, dtype=torch.float64), random_state(ours, B))


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_without_a_batch(kind, options, batch_first):
    ours, theirs = pair(kind, batch_first=batch_first, bidirectional=True, **options)
    assert_same(ours, theirs, torch.randn(T, I, dtype=torch.float64), random_state(ours, None))


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("ordered", [False, True])
def test_packed(kind, options, ordered):
    ours, theirs = pair(kind, num_layers=2, bidirectional=True, **options)
    lengths = torch.tensor([6, 4, 4, 1] if ordered else [4, 1, 6, 4])
    x = torch.randn(T, B, I, dtype=torch.float64)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=ordered)
    assert_same(ours, theirs, packed, random_state(ours, B))
    mine, other = ours(packed)[0], theirs(packed)[0]
    assert torch.equal(mine.batch_sizes, other.batch_sizes)
    for field in ("sorted_indices", "unsorted_indices"):
        a, b = getattr(mine, field), getattr(other, field)
        assert (a is None and b is None) or torch.equal(a, b)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_lengths_equal_a_packed_run(kind, options):
    ours, theirs = pair(kind, num_layers=2, bidirectional=True, **options)
    lengths = torch.tensor([4, 1, 6, 3])
    x = torch.randn(T, B, I, dtype=torch.float64)
    packed_output, packed_state = theirs(pack_padded_sequence(x, lengths, enforce_sorted=False))
    expected, _ = nn.utils.rnn.pad_packed_sequence(packed_output, total_length=T)
    x[4:, 0] = float("nan")  # what stands after the end of a row is never read
    output, state = ours(x, lengths=lengths)
    torch.testing.assert_close(output, expected)
    for mine, other in zip(parts(state), parts(packed_state), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_float32(kind, options):
    ours, theirs = pair(kind, dtype=torch.float32, num_layers=2, **options)
    assert_same(ours, theirs, torch.randn(T, B, I), random_state(ours, B), tolerance=2e-5)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_same_seed_same_weights_and_state_dicts_go_both_ways(kind, options):
    ours, theirs = pair(kind, num_layers=2, bidirectional=True, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
    fresh = getattr(recurra, kind)(
        I, H, num_layers=2, bidirectional=True, dtype=torch.float64, **options
    )
    fresh.load_state_dict(theirs.state_dict())
    back = fresh.to_torch()
    assert type(back) is type(theirs)
    for name, value in theirs.state_dict().items():
        assert torch.equal(back.state_dict()[name], value)
    again = recurra.nn.from_torch(theirs)
    assert type(again) is type(ours)
    x = torch.randn(T, B, I, dtype=torch.float64)
    torch.testing.assert_close(again(x)[0], theirs(x)[0])


def test_positional_arguments_stand_where_torch_has_them():
    torch.manual_seed(0)
    ours = recurra.LSTM(5, 7, 2, False, True, 0.5, True, 3)
    torch.manual_seed(0)
    theirs = nn.LSTM(5, 7, 2, False, True, 0.5, True, 3)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert (ours.dropout, ours.proj_size, ours.batch_first) == (0.5, 3, True)
    assert recurra.RNN(5, 7, 2, "relu", False).nonlinearity == "relu"
    assert not recurra.RNN(5, 7, 2, "relu", False).bias
    x = torch.randn(2, 4, 5)
    assert recurra.GRU(5, 7, batch_first=True)(input=x, hx=None)[0].shape == (2, 4, 7)


def test_dropout_between_layers_acts_in_training_only():
    ours, theirs = pair("LSTM", dtype=torch.float32, num_layers=2, dropout=0.5)
    x = torch.randn(T, B, I)
    torch.testing.assert_close(ours.eval()(x)[0], theirs.eval()(x)[0])
    ours.train()
    assert not torch.equal(ours(x)[0], ours(x)[0])
    # The first layer's state is not touched by a mask on its output.
    assert torch.equal(ours(x)[1][0][0], ours(x)[1][0][0])


def test_dropout_has_torchs_distribution():
    """Zeros to the given share, the rest scaled up: seen through a second layer that copies."""
    layer = recurra.RNN(1, 64, 2, "relu", dropout=0.25, bias=False)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            parameter.zero_()
            if name == "weight_ih_l0":
                parameter.fill_(1.0)
            if name == "weight_ih_l1":
                parameter.copy_(torch.eye(64))
    output = layer(torch.ones(50, 20, 1))[0]
    torch.testing.assert_close(output.unique(), torch.tensor([0.0, 4 / 3]))
    assert abs((output == 0).float().mean().item() - 0.25) < 0.01


def test_one_wrong_gate_order_is_seen(monkeypatch):
    """A deliberate defect: the suite's own comparison goes red when two gates change places."""
    ours, theirs = pair("LSTM")
    state = random_state(ours, B)
    first, second, *rest = ours.stacks[1].members
    recurrent = dataclasses.replace(ours.stacks[1], members=(second, first, *rest))
    monkeypatch.setattr(ours, "stacks", (ours.stacks[0], recurrent, *ours.stacks[2:]))
    with pytest.raises(AssertionError, match="output"):
        assert_same(ours, theirs, torch.randn(T, B, I, dtype=torch.float64), state)


@pytest.mark.parametrize(
    ("kind", "middle", "last"),
    [
        ("RNN", ["relu"], []),
        ("LSTM", [], [0]),
        ("LSTM", [], [2]),
        ("GRU", [], []),
        ("GRU", [], [0]),
    ],
)
def test_every_option_by_position(kind, middle, last):
    options = (3, 4, 2, *middle, True, True, 0.25, True, *last)
    layer = getattr(recurra, kind)(*options, torch.device("cpu"), torch.float64)
    assert {parameter.dtype for parameter in layer.parameters()} == {torch.float64}
    theirs = getattr(nn, kind)(*options)
    assert repr(layer.to_torch()) == repr(theirs)
    shapes = [[weight.shape for weight in place] for place in theirs.all_weights]
    assert [[weight.shape for weight in place] for place in layer.all_weights] == shapes


def test_a_wrong_position_is_refused():
    seven = (3, 4, 1, True, False, 0.0, False)
    with pytest.raises(UsageError, match="only an LSTM has a projection"):
        recurra.GRU(*seven, 2)
    with pytest.raises(UsageError, match="no argument after device and dtype"):
        recurra.GRU(*seven, None, None, None)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_all_weights_in_the_order_of_torch(kind, options):
    ours, theirs = pair(kind, num_layers=2, bidirectional=True, **options)
    ours.flatten_parameters()
    for mine, other in zip(ours.all_weights, theirs.all_weights, strict=True):
        for a, b in zip(mine, other, strict=True):
            assert isinstance(a, nn.Parameter)
            torch.testing.assert_close(a, b, rtol=0, atol=0)

"""Streams: step by step what a layer gives for the whole sequence."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from hypothesis import given, settings
from torch import nn

import recurra
from recurra import Recurrent, cells
from recurra.backends import choice
from recurra.backends.cpu import Cpu, memory
from recurra.backends.reference import Reference
from recurra.errors import ShapeError, UnknownNameError, UsageError
from recurra.graph import cell, sigmoid, tanh
from recurra.graph.facts import below
from support.checks import features
from support.random_cells import random_cells
from support.rooms import nan_filled

SIZES = {"P": 5, "I_y": 4}
T, B, I, H = 5, 3, 4, 6
OPTIONS = [
    {"zoneout": {"h": 0.3}},
    {"residual": True},
    {"learn_initial_state": True},
    {"bias": False},
    {"dropout": 0.5, "input_dropout": 0.5, "recurrent_dropout": 0.5},
]


@pytest.fixture(params=["cpu", "reference"])
def backend(request, monkeypatch):
    backends = {"cpu": (Cpu(), Reference()), "reference": (Reference(),)}[request.param]
    monkeypatch.setattr(choice, "BACKENDS", backends)
    return request.param


def parts(state):
    return (state,) if isinstance(state, torch.Tensor) else tuple(state)


def layer_of(name, i=I, h=H, layers=2, dtype=torch.float64, **options) -> Recurrent:
    torch.manual_seed(1)
    letters = {letter for _, shape in cells.get(name).graph.leaf_shapes for letter in shape}
    sizes = {letter: SIZES.get(letter, 5) for letter in sorted(letters - {"I", "H"})}
    layer = Recurrent(name, i, h, layers, sizes=sizes, dtype=dtype, **options)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.4)  # initial states too
    return layer


def whole(layer, x, state=None, **call):
    """Output and states of the sequence, as the referee of all backends computes them."""
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(choice, "BACKENDS", (Reference(),))
        was, _ = layer.training, layer.eval()
        output, last = layer(x, state, **call)
        layer.train(was)
    return output, last


def stepped(stream, x, **inputs):
    extra = [{name: value[t] for name, value in inputs.items()} for t in range(len(x))]
    return torch.stack([stream.step(a, more) for a, more in zip(x, extra, strict=True)])


def assert_same(layer, x, tolerance=1e-10, **inputs):
    stream = layer.stream(x.shape[1])
    expected, last = whole(layer, x, **({"inputs": inputs} if inputs else {}))
    limits = {"rtol": tolerance, "atol": tolerance}
    torch.testing.assert_close(stepped(stream, x, **inputs), expected, **limits)
    for ours, theirs in zip(parts(stream.state), parts(last), strict=True):
        torch.testing.assert_close(ours, theirs, **limits)
    return stream


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_equals_the_whole_sequence(name, backend):
    i, layers = features(name, I, H), 1 if below(cells.get(name).graph) else 2
    layer = layer_of(name, i, layers=layers)
    stream = assert_same(layer, torch.randn(T, B, i, dtype=torch.float64))
    assert stream.choice.backend.name == backend
    i, options = features(name, I, 19), {"dtype": torch.float32, "learn_initial_state": True}
    assert_same(layer_of(name, i, 19, layers, **options), torch.randn(T, 1, i), tolerance=2e-5)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_equals_torchs_own_layers(kind, backend):
    torch.manual_seed(0)
    theirs = getattr(nn, kind)(I, 33, num_layers=2, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64)
    with torch.no_grad():
        expected, last = theirs(x)
    stream = recurra.nn.from_torch(theirs).stream(B)
    torch.testing.assert_close(stepped(stream, x), expected, rtol=1e-10, atol=1e-10)
    for ours, other in zip(parts(stream.state), parts(last), strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("rows", "i", "h"), [(1, 1, 1), (2, 3, 3), (7, 5, 17), (13, 2, 63)])
@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_ugly_sizes(name, rows, i, h):
    assert_same(layer_of(name, i, h, layers=1), torch.randn(3, rows, i, dtype=torch.float64))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", ["gru"])
def test_options_as_in_evaluation(name, options, backend):
    layer = layer_of(name, i=H, **options).train()
    assert_same(layer, torch.randn(T, B, H, dtype=torch.float64))
    assert layer.training


@cell(state="h", shapes={"s": ""})
def clocked(p, x, h, y, s, t):
    """A cell that also reads a sequence, a number and the time."""
    on = sigmoid(p.W_on @ y + p.v * s - t / 3)
    h = h + on * tanh(p.W @ x + p.U @ h + p.b)
    return h


@pytest.mark.parametrize("residual", [False, True])
def test_further_inputs_and_the_time(backend, residual):
    layer = layer_of(clocked, i=H, residual=residual)
    x, y = torch.randn(2, T, B, H, dtype=torch.float64)
    size = layer.sizes.get("I_y", H)
    s = torch.randn(T, B, 1, dtype=torch.float64)
    stream = assert_same(layer, x, y=y[..., :size], s=s)
    assert stream.t == T
    stream.reset()
    again = stepped(stream, x, y=y[..., :size], s=s)
    assert torch.equal(again, stepped(layer.stream(B), x, y=y[..., :size], s=s))


@settings(max_examples=6)
@given(cell=random_cells())
def test_random_cells(cell):
    letters = {letter for _, shape in cell.graph.leaf_shapes for letter in shape}
    torch.manual_seed(1)
    sizes = {"I_y": 4} if "I_y" in letters else {}
    layer = Recurrent(cell, 3, 5, sizes=sizes, dtype=torch.float64)
    x = torch.randn(3, 2, 3, dtype=torch.float64)
    y = torch.randn(3, 2, sizes.get("I_y", 5), dtype=torch.float64)
    assert_same(layer, x, tolerance=1e-8, y=y)


def test_the_state_goes_over_to_a_layer_and_back(backend):
    layer = layer_of("lstm")
    x = torch.randn(2 * T, B, I, dtype=torch.float64)
    expected, _ = whole(layer, x)
    stream = layer.stream(B)
    _, stream.state = whole(layer, x[:T])
    torch.testing.assert_close(stepped(stream, x[T:]), expected[T:])
    stream.reset()
    stepped(stream, x[:T])
    rest, _ = whole(layer, x[T:], stream.state)
    torch.testing.assert_close(rest, expected[T:])


def test_what_was_given_out_stays_as_it_was(backend):
    stream = layer_of("gru").stream(B)
    x = torch.randn(T, B, I, dtype=torch.float64)
    outputs, states = [], []
    for a in x:
        outputs.append((stream.step(a), stream.state))
        states.append([part.clone() for part in outputs[-1]])
    for given_out, kept in zip(outputs, states, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(given_out, kept, strict=True))


@pytest.mark.parametrize("rows", [[1], torch.tensor([False, True, False]), torch.tensor([1, 1])])
def test_rows_start_anew(backend, rows):
    layer = layer_of("lstm", learn_initial_state=True)
    x = torch.randn(2 * T, B, I, dtype=torch.float64)
    reset = torch.zeros(2 * T, B, dtype=torch.bool)
    reset[T, 1] = True
    expected, _ = whole(layer, x, reset=reset)
    stream = layer.stream(B)
    first = stepped(stream, x[:T])
    stream.reset(rows)
    assert stream.t == T
    torch.testing.assert_close(torch.cat([first, stepped(stream, x[T:])]), expected)
    stream.reset([])
    stream.reset()
    assert stream.t == 0
    torch.testing.assert_close(stepped(stream, x[:T]), first)


def _in_place(layer):
    with torch.no_grad():
        layer.weight_hh_l0.mul_(1.5)


def _by_name(layer):
    layer.set_weight("U_f", 0.25, layer=1)


def _loaded(layer):
    layer.load_state_dict({k: 2 * v for k, v in layer.state_dict().items()})


def _exchanged(layer):
    layer.weight_ih_l1 = nn.Parameter(layer.weight_ih_l1.detach() * 2)


def _other_memory(layer):
    layer.bias_l0.data = layer.bias_l0.data + 1


def _trained(layer):
    layer(torch.randn(2, 1, I, dtype=torch.float64))[0].sum().backward()
    torch.optim.SGD(layer.parameters(), lr=0.3).step()


@pytest.mark.parametrize(
    "change", [_in_place, _by_name, _loaded, _exchanged, _other_memory, _trained]
)
def test_weights_that_changed_are_noticed(backend, change):
    layer = layer_of("lstm")
    x = torch.randn(2 * T, B, I, dtype=torch.float64)
    stream = layer.stream(B)
    stepped(stream, x[:T])
    state, before = stream.state, layer.stream(B)
    before.state = state
    unchanged = stepped(before, x[T:])
    change(layer)
    expected, _ = whole(layer, x[T:], state)
    found = stepped(stream, x[T:])
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, unchanged)


def test_streams_of_a_layer_do_not_disturb_each_other(backend):
    layer = layer_of("lstm")
    a, b = torch.randn(2, T, B, I, dtype=torch.float64)
    one, two = layer.stream(B), layer.stream(B)
    both = [(one.step(x), two.step(y)) for x, y in zip(a, b, strict=True)]
    assert torch.equal(torch.stack([x for x, _ in both]), stepped(layer.stream(B), a))
    assert torch.equal(torch.stack([y for _, y in both]), stepped(layer.stream(B), b))


def test_x_in_any_place_of_memory(backend):
    layer = layer_of("gru")
    stream = layer.stream(B)
    base = torch.randn(I, B + 2, dtype=torch.float64).t()
    for x in (base[1 : B + 1], base[:1].expand(B, I)):
        stream.reset()
        assert torch.equal(stream.step(x), layer.stream(B).step(x.contiguous()))


def test_a_view_that_is_negated_only_by_a_mark(backend):
    layer, x = layer_of("gru"), torch.randn(B, I, dtype=torch.float64)
    marked = torch._neg_view(-x)
    assert all((marked.is_neg(), marked.is_contiguous()))
    assert torch.equal(layer.stream(B).step(marked), layer.stream(B).step(x))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_modes_of_gradients(mode, backend):
    layer = layer_of("lstm")
    x = torch.randn(T, B, I, dtype=torch.float64)
    with mode():
        stream = layer.stream(B)
        inside = stepped(stream, x)
    assert not inside.requires_grad
    assert not stream.step(x[0]).requires_grad
    stream.state = layer(x)[1]  # with a past; it is cut
    assert not any(part.requires_grad for part in stream.state)
    stream.reset()
    assert torch.equal(stepped(stream, x), inside)


def test_a_layer_that_was_made_in_inference_mode(backend):
    with torch.inference_mode():
        layer = layer_of("lstm")
        x = torch.randn(T, B, I, dtype=torch.float64)
        found, expected = stepped(layer.stream(B), x), layer(x)[0]
    torch.testing.assert_close(found, expected)


def test_memory_is_written_before_it_is_read(monkeypatch):
    monkeypatch.setattr(memory, "empty", nan_filled)
    for name in ("gru_reset_before", "lstm_layernorm", "lstm_projection"):
        stream = layer_of(name, layers=1, h=19).stream(B)
        found = stepped(stream, torch.randn(3, B, I, dtype=torch.float64))
        assert found.isfinite().all(), name


def test_one_result_for_every_number_of_threads():
    layer = layer_of("lstm", 40, 200, dtype=torch.float32)
    x = torch.randn(3, 7, 40)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(stepped(layer.stream(7), x))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_other_number_formats_run_on_the_reference():
    layer = layer_of("gru", dtype=torch.bfloat16)
    stream = layer.stream(B)
    assert stream.choice.backend.name == "reference"
    x = torch.randn(T, B, I, dtype=torch.bfloat16)
    torch.testing.assert_close(stepped(stream, x), whole(layer, x)[0], rtol=0.05, atol=0.05)


def test_refusals(backend):
    layer, x = layer_of("lstm"), torch.zeros(B, I, dtype=torch.float64)
    stream = layer.stream(B)
    with pytest.raises(UsageError, match=r"bidirectional layer has no stream.*bidirectional=False"):
        layer_of("lstm", bidirectional=True).stream(1)
    for batch in (0, True, 2.0):
        with pytest.raises(UsageError, match=r"batch=.*whole number from 1"):
            layer.stream(batch)
    for bad in (x[:, 1:], x[1:], x[0], x[None]):
        with pytest.raises(ShapeError, match=r"x has the shape .*; a step needs \(3, 4\)"):
            stream.step(bad)
    with pytest.raises(UsageError, match=r"x is torch.float32 on cpu and the weights are"):
        stream.step(x.float())
    with pytest.raises(UsageError, match=r"x asks for gradients.*layer.x, state."):
        stream.step(x.clone().requires_grad_())
    with torch.no_grad():
        stream.step(x.clone().requires_grad_())
    with pytest.raises(UnknownNameError, match=r"unknown input 'y'.*none but x"):
        stream.step(x, {"y": x})
    with pytest.raises(UsageError, match=r"cell clocked also reads y, s"):
        layer_of(clocked).stream(B).step(x)
    with pytest.raises(ShapeError, match=r"the state has 1 parts; cell lstm has 2"):
        stream.state = torch.zeros(2, B, H)
    with pytest.raises(ShapeError, match=r"state h has the shape"):
        stream.state = (torch.zeros(2, 1, H), torch.zeros(2, 1, H))
    for rows in ([B], [-1], [0.5], [True], torch.ones(2, dtype=torch.bool)):
        with pytest.raises(ShapeError, match=r"give numbers from 0 to 2, or one truth"):
            stream.reset(rows)
    layer.float()
    with pytest.raises(UsageError, match=r"the layer is torch.float32 on cpu now.*make a new one"):
        stream.step(x)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_copy_is_refused_and_the_state_goes_on_elsewhere(backend, copied):
    layer, x = Recurrent("gru", I, H), torch.randn(4, B, I)
    stream = layer.stream(B)
    for step in x[:2]:
        stream.step(step)
    with pytest.raises(UsageError, match=r"Keep stream\.state"):
        copied(stream)
    other = layer.stream(B)
    other.state = stream.state
    for step in x[2:]:
        assert torch.equal(other.step(step), stream.step(step))

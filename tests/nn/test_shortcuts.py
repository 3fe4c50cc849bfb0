"""Shortcuts: the same to the bit as the long way, and only for calls that they know."""

from __future__ import annotations

import copy
import gc
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call, vmap
from torch.nn.utils import parametrize
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

import recurra
from recurra.backends import Shortcut, Weights, choice
from recurra.backends.cpu import Cpu, forward_plan
from recurra.backends.cpu.plans import Plan
from recurra.backends.cpu.shortcut import CpuShortcut
from recurra.backends.reference import Reference
from recurra.errors import ShapeError, UsageError
from recurra.graph import Graph
from recurra.nn.layout import Stack, stacked_by_shape
from recurra.nn.shortcuts import Shortcuts

T, B, I, H = 5, 3, 4, 6
CELLS = ["lstm", "gru", "elman", "mut1", "cfn", "hgrn", "lstm_peephole", "lstm_layernorm", "indrnn"]


@pytest.fixture(autouse=True)
def _kernels_at_any_size(monkeypatch):
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=0), Reference()))


@pytest.fixture
def taken(monkeypatch) -> list[Shortcut]:
    """The shortcuts that ran, in order."""
    found: list[Shortcut] = []
    original = CpuShortcut.run
    monkeypatch.setattr(
        CpuShortcut, "run", lambda self, *a: found.append(self) or original(self, *a)
    )
    return found


def the_long_way(function: Callable[[], Any]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shortcuts, "run", lambda *a: None)
        return function()


def with_gradients(layer: nn.Module, x: Tensor, state: Any = None, **given: Any) -> list[Tensor]:
    """Output, states, and the gradients of what asks for some."""
    torch.manual_seed(3)
    output, last = layer(x, state, **given)
    parts = [output, *([last] if isinstance(last, Tensor) else last)]
    before = [] if state is None else [state] if isinstance(state, Tensor) else list(state)
    wanted = [t for t in (x, *before, *layer.parameters()) if t.requires_grad]
    total = sum((part * torch.randn_like(part)).sum() for part in parts)
    gradients = torch.autograd.grad(total, wanted) if wanted and total.requires_grad else []
    return [part.detach() for part in parts] + list(gradients)


def assert_same(layer: nn.Module, x: Tensor, state: Any = None, **given: Any) -> None:
    found = with_gradients(layer, x, state, **given)
    expected = the_long_way(lambda: with_gradients(layer, x, state, **given))
    assert len(found) == len(expected)
    for mine, other in zip(found, expected, strict=True):
        assert mine.shape == other.shape
        assert torch.equal(mine, other)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("trained", [True, False], ids=["training", "inference"])
def test_every_kind_of_cell(name, trained, taken):
    layer = recurra.Recurrent(name, H, H, 2)
    x = torch.randn(T, B, H, requires_grad=trained)
    with torch.set_grad_enabled(trained):
        assert_same(layer, x)
    assert len(taken) == 2  # one for each layer


@pytest.mark.parametrize("kind", [recurra.LSTM, recurra.GRU, recurra.RNN])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_first": True},
        {"num_layers": 3, "dropout": 0.5},
        {"bias": False},
        {"bidirectional": True, "num_layers": 2},
    ],
    ids=str,
)
def test_namesakes(kind, options, taken):
    layer = kind(I, H, **options)
    assert_same(layer, torch.randn(T, B, I, requires_grad=True))
    assert len(taken) == layer.num_layers * len(layer.directions)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("trained", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("lengths", [[2, 5, 0], torch.tensor([1, 1, 4], dtype=torch.int32)])
def test_rows_that_end(name, trained, lengths, taken):
    layer = recurra.Recurrent(name, H, H, bidirectional=True)
    x = torch.randn(T, B, H)
    for row, length in enumerate(lengths):
        x[length:, row] = torch.nan
    x.requires_grad_(trained)
    with torch.set_grad_enabled(trained):
        assert_same(layer, x, lengths=lengths)
    assert len(taken) == 2


@pytest.mark.parametrize("batch_first", [True, False])
def test_rows_that_end_among_other_things(batch_first, taken):
    layer = recurra.LSTM(I, H, 2, dropout=0.5, bidirectional=True, batch_first=batch_first)
    x = torch.randn(*((B, T) if batch_first else (T, B)), I, requires_grad=True)
    state = tuple(torch.randn(4, B, H, requires_grad=True) for _ in "hc")
    for lengths in ([1, 2, 3], [3, 2, 1], [5, 5, 5], [0, 0, 1], [1, 2, 3]):
        assert_same(layer, x, state, lengths=lengths)
    assert len(taken) == 4 * 5
    theirs = torch.nn.LSTM(I, H, 2, bidirectional=True, batch_first=batch_first)
    theirs.load_state_dict(layer.eval().state_dict())
    packed = nn.utils.rnn.pack_padded_sequence(x, [5, 3, 1], batch_first=batch_first)
    expected, last = theirs(packed, state)
    expected, _ = nn.utils.rnn.pad_packed_sequence(expected, batch_first=batch_first)
    output, states = layer(x, state, lengths=[5, 3, 1])
    for mine, other in zip((output, *states), (expected, *last), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize("trained", [True, False], ids=["training", "inference"])
def test_packed_sequences(trained, taken):
    layer = recurra.GRU(I, H, 2, batch_first=True, bidirectional=True)
    x = torch.randn(T, B, I, requires_grad=trained)
    ends = [2, 5, 1]

    def run() -> list[Tensor]:
        layer.zero_grad()
        whole = nn.utils.rnn.pack_padded_sequence(x, ends, enforce_sorted=False)
        output, h = layer(whole)
        assert torch.equal(output.batch_sizes, whole.batch_sizes)
        if not trained:
            return [output.data, h]
        loss = output.data.square().sum() + h.square().sum()
        return [output.data, h, *torch.autograd.grad(loss, [x, *layer.parameters()])]

    with torch.set_grad_enabled(trained):
        for mine, other in zip(run(), the_long_way(run), strict=True):
            assert torch.equal(mine, other)
    assert len(taken) == 4


def test_packed_sequences_that_do_not_fit_are_refused_as_ever():
    layer = recurra.GRU(I, H)
    for size, options in ((I + 1, {}), (I, {"lengths": [1, 1]})):
        whole = nn.utils.rnn.pack_sequence([torch.randn(2, size), torch.randn(1, size)])
        with pytest.raises(ShapeError, match=r"features a step|carries its lengths"):
            layer(whole, **options)


def test_a_layer_keeps_no_plans_for_lengths():
    """They are others in each batch; only the caches of plans keep some."""
    layer, x = recurra.GRU(I, H), torch.randn(T, B, I)

    def plans() -> int:
        forward_plan.inference_plan.cache_clear()
        gc.collect()
        return sum(type(one) is Plan for one in gc.get_objects())

    before = plans()
    with torch.no_grad():
        for lengths in itertools.product(range(1, T + 1), repeat=B):
            layer(x, lengths=lengths)
    assert forward_plan.inference_plan.cache_info().currsize > 16
    assert plans() == before


@pytest.mark.parametrize("lengths", [[1, 2], [1, 2, 6], [0.5, 1, 2], "abc", torch.ones(3)])
def test_lengths_that_do_not_fit_are_refused_as_ever(lengths):
    layer, x = recurra.GRU(I, H), torch.randn(T, B, I)
    with pytest.raises(ShapeError) as found:
        layer(x, lengths=lengths)
    with pytest.raises(ShapeError) as expected:
        the_long_way(lambda: layer(x, lengths=lengths))
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("form", ["parts", "transposed", "expanded"])
def test_states_and_arrangements_of_memory(form, taken):
    layer = recurra.LSTM(I, H, 2)
    x = {
        "parts": torch.randn(T, B, 2 * I)[..., I:],
        "transposed": torch.randn(B, T, I).transpose(0, 1),
        "expanded": torch.randn(1, 1, I).expand(T, B, I),
    }[form].requires_grad_()
    state = tuple(torch.randn(2, B, H, requires_grad=True) for _ in "hc")
    assert_same(layer, x, state)
    assert len(taken) == 2
    gaps = tuple(torch.randn(2, B, 2 * H)[..., ::2] for _ in "hc")
    assert_same(layer, x, gaps)
    assert len(taken) == 2  # a state with gaps goes the long way


def test_what_the_memory_does_not_hold():
    """The imaginary part of a conjugate lies negated in memory."""
    layer = recurra.GRU(I, H)
    negated = torch.randn(T, B, I, dtype=torch.complex64).conj().imag
    state = torch.randn(1, B, H, dtype=torch.complex64).conj().imag
    assert negated.is_neg()
    assert_same(layer, negated)
    assert_same(layer, torch.randn(T, B, I), state)
    layer.weight_hh_l0 = nn.Parameter(torch.randn(3 * H, H, dtype=torch.complex64).conj().imag)
    assert layer.weight_hh_l0.is_neg()
    assert_same(layer, torch.randn(T, B, I))


def test_weights_that_change():
    """Values, memory, form, format and kind of a weight may change between calls."""
    layer, x = recurra.LSTM(I, H), torch.randn(T, B, I)
    outputs = [layer(x)[0]]

    def differs() -> None:
        assert_same(layer, x)
        outputs.append(layer(x)[0])
        assert not torch.equal(*outputs[-2:])

    layer.weight_hh_l0.data.mul_(2.0)
    differs()
    layer.weight_hh_l0.data = torch.randn(4 * H, H)
    differs()
    layer.weight_hh_l0.data = torch.randn(H, 4 * H).t()
    differs()
    layer.weight_hh_l0 = nn.Parameter(torch.randn(4 * H, H))
    differs()
    layer.double()
    assert_same(layer, x.double())
    with pytest.raises(UsageError, match=r"x is torch.float32 and the weights are torch.float64"):
        layer(x)
    layer.float()
    assert_same(layer, x)


@pytest.mark.parametrize("shape", [(4 * H, H - 1), (4 * H + 1, H), (4 * H - 1, H)], ids=str)
@pytest.mark.parametrize("before", [True, False], ids=["known", "new"])
def test_a_weight_of_a_wrong_size_is_never_read(shape, before):
    layer, x = recurra.LSTM(I, H), torch.randn(T, B, I)
    if before:
        layer(x)
    layer.weight_hh_l0.data = torch.randn(shape)
    with pytest.raises(ShapeError, match="it must be"):
        layer(x)


def test_a_bias_of_one_number_for_all_units():
    layer = recurra.RNN(H, H)
    layer.bias_hh_l0 = nn.Parameter(torch.randn(1))
    assert_same(layer, torch.randn(T, B, H))


def test_weights_that_left_the_cpu():
    layer, x = recurra.LSTM(I, H), torch.randn(T, B, I)
    layer(x)
    layer.to("meta")
    with pytest.raises(UsageError, match="x lies on cpu and the weights on meta"):
        layer(x)


def test_another_default_device():
    layer, x = recurra.LSTM(I, H), torch.randn(T, B, I, requires_grad=True)
    with torch.device("meta"):
        layer(x)[0].backward(torch.ones(T, B, H, device="cpu"))
    assert_same(layer, x)


def test_two_parameters_never_share_the_memory_of_a_gradient():
    """Two parts of each bias, each a parameter by itself."""

    def layout(graph: Graph) -> tuple[Stack, ...]:
        whole = stacked_by_shape(graph)
        bias = next(stack for stack in whole if stack.name == "bias")
        parts = [Stack(f"{m}_{k}", (m,), bias.shape) for m in bias.members for k in "xh"]
        return *(stack for stack in whole if stack is not bias), *parts

    layer, x = recurra.Recurrent("lstm", H, H, layout=layout), torch.randn(T, B, H)
    for _ in range(2):
        layer(x)[0].sum().backward()
    twice = [p.grad.clone() for p in layer.parameters()]
    layer.zero_grad()
    the_long_way(lambda: layer(x)[0].sum().backward())
    for mine, parameter in zip(twice, layer.parameters(), strict=True):
        torch.testing.assert_close(mine, 2 * parameter.grad)


class Scaled(nn.Module):
    def forward(self, value: Tensor) -> Tensor:
        return 2 * value


def test_parametrized_weights_are_not_asked_for():
    """Whoever stands in their place may count, or keep what it gives."""
    layer, x = recurra.GRU(I, H), torch.randn(T, B, I)
    parametrize.register_parametrization(layer, "weight_hh_l0", Scaled())
    with parametrize.cached():
        layer(x)[0].sum().backward()
    assert layer.parametrizations.weight_hh_l0.original.grad.any()


def test_a_subclass_that_gives_other_weights(taken):
    class Doubled(recurra.Recurrent):
        def weights(self, suffix: str) -> Weights:
            own = super().weights(suffix)
            return Weights([(members, 2 * stored) for members, stored in own.stacks], own.fixed)

    layer = Doubled("gru", I, H)
    layer(torch.randn(T, B, I))
    assert not taken


def test_a_state_of_another_kind(taken):
    layer, x, h = recurra.GRU(I, H), torch.randn(T, B, I), torch.randn(1, B, H)
    layer(x, TwoTensor(h, h.clone()))
    assert not taken


@pytest.mark.parametrize("weights", ["tied", "in chunks", "the same"])
def test_first_derivatives_with_a_graph(weights):
    """Inputs that are made of one another each have a gradient of their own."""
    tied = weights == "tied"
    layer = recurra.Recurrent("elman", H, H, 2 if tied else 1, tied=tied, dtype=torch.float64)
    if weights == "the same":
        layer.weight_hh_l0 = layer.weight_ih_l0
    x = torch.randn(T, B, H, dtype=torch.float64)

    def gradients(create_graph: bool) -> tuple[Tensor, ...]:
        output, h = layer(x)
        if weights == "in chunks":
            output, _ = layer(x, h)
        total = output.square().sum()
        return torch.autograd.grad(total, list(layer.parameters()), create_graph=create_graph)

    for mine, other in zip(gradients(True), gradients(False), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "mode",
    [partial(FlopCounterMode, display=False), torch.profiler.profile],
    ids=["flops", "profile"],
)
@pytest.mark.parametrize("lengths", [None, [2, 5, 0]], ids=["whole", "ragged"])
def test_who_looks_at_operators_sees_them(mode, lengths, taken):
    """Through the same shortcut, so that a checkpoint keeps the same in both its runs."""
    layer, x = recurra.GRU(I, H), torch.randn(T, B, I, requires_grad=True)
    expected = with_gradients(layer, x, lengths=lengths)
    output = checkpoint(lambda x: layer(x, lengths=lengths)[0], x, use_reentrant=False)
    with mode() as own:
        output.sum().backward()
        with torch.no_grad():
            assert torch.equal(layer(x, lengths=lengths)[0], expected[0])
    if mode is torch.profiler.profile:
        assert any("recurra::" in event.key for event in own.key_averages())
    assert len(taken) == 4


def test_weights_that_are_no_parameters():
    layer, x = recurra.GRU(I, H), torch.randn(T, B, I)
    plain = layer(x)[0]
    others = {name: torch.randn_like(p) for name, p in layer.named_parameters()}
    mine = functional_call(layer, others, (x,))[0]
    assert torch.equal(mine, the_long_way(lambda: functional_call(layer, others, (x,))[0]))
    assert torch.equal(plain, layer(x)[0])
    parametrize.register_parametrization(layer, "weight_hh_l0", Scaled())
    assert_same(layer, x)
    assert not torch.equal(plain, layer(x)[0])


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")  # the long way's too
def test_transforms_of_pytorch_go_the_long_way(taken):
    layer, x = recurra.GRU(I, H), torch.randn(2, T, B, I)
    layer(x[0])
    taken.clear()
    many = vmap(lambda one: layer(one)[0], randomness="error")(x)
    torch.testing.assert_close(many, torch.stack([layer(one)[0] for one in x]))
    assert len(taken) == 2
    taken.clear()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x[0], torch.ones_like(x[0]))
        assert forward_ad.unpack_dual(layer(dual)[0]).tangent is not None
    traced = torch.jit.trace(layer, x[0], check_trace=False)
    torch.testing.assert_close(traced(x[1])[0], layer(x[1])[0])
    with torch.autocast("cpu", torch.bfloat16):
        layer(x[0])
    assert len(taken) == 1


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({"residual": True}, {}),
        ({"zoneout": 0.1}, {}),
        ({"learn_initial_state": True}, {}),
        ({"recurrent_dropout": 0.1}, {}),
        ({"input_dropout": 0.1}, {}),
        ({"checkpoint_every": 2}, {}),
        ({}, {"lengths": [0, 0, 0]}),
        ({}, {"reset": torch.zeros(T, B, dtype=torch.bool)}),
    ],
    ids=str,
)
def test_options_go_the_long_way(options, call, taken):
    layer = recurra.Recurrent("gru", H, H, **options)
    layer(torch.randn(T, B, H), **call)
    assert not taken


def test_options_that_change(taken):
    layer, x = recurra.Recurrent("gru", H, H, 2, recurrent_dropout=0.5), torch.randn(T, B, H)
    layer(x)
    assert not taken
    layer.eval()
    assert_same(layer, x)
    assert len(taken) == 2
    layer.train().recurrent_dropout = 0.0
    layer.dropout = 0.5
    assert_same(layer, x)
    assert len(taken) == 4


@pytest.mark.parametrize("name", ["lstm", "gru", "mut1", "hgrn"])
@pytest.mark.parametrize("lengths", [None, [2, 0, 1]], ids=["whole", "ragged"])
def test_second_derivatives(name, lengths, taken):
    """By PyTorch, through the same shortcut."""
    layer = recurra.Recurrent(name, H, H, dtype=torch.float64)
    if name in ("lstm", "gru"):
        layer = {"lstm": recurra.LSTM, "gru": recurra.GRU}[name](H, H, dtype=torch.float64)
    x = torch.randn(2, B, H, dtype=torch.float64, requires_grad=True)

    def call(x: Tensor, *weights: Tensor) -> Tensor:
        return layer(x, lengths=lengths)[0]

    assert torch.autograd.gradgradcheck(call, (x, *layer.parameters()))
    assert taken


def test_gradients_that_nobody_wants(taken):
    layer, x = recurra.GRU(I, H), torch.randn(T, B, I)
    layer.requires_grad_(False)
    assert not layer(x)[0].requires_grad
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_()
        assert_same(layer, x)
        (d,) = torch.autograd.grad(layer(x)[0].sum(), [parameter])
        assert d.any(), name
        parameter.requires_grad_(False)
    assert taken


def test_recordings_see_what_runs(taken):
    layer, x = recurra.LSTM(I, H), torch.randn(T, B, I)
    plain = layer(x)[0]
    taken.clear()
    assert recurra.record(layer, x)["rnn.0.forward.f"].shape == (T, B, H)
    with recurra.edit(layer, {"rnn.0.forward.f": 1.0}):
        assert not torch.equal(layer(x)[0], plain)
    assert not taken
    assert torch.equal(layer(x)[0], plain)


def test_copies_learn_by_themselves():
    layer, x = recurra.LSTM(I, H), torch.randn(T, B, I)
    before = layer(x)[0]
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight_hh_l0.add_(1.0)
    assert torch.equal(layer(x)[0], before)
    assert not torch.equal(other(x)[0], before)


def test_training_after_inference_mode(taken):
    """The zeros with which a call begins are no tensors of inference mode."""
    layer, x = recurra.LSTM(I, H), torch.randn(T, B, I)
    with torch.inference_mode():
        expected = layer(x)[0]
    output = layer(x)[0]
    assert torch.equal(output, expected)
    output.sum().backward()
    assert len(taken) == 2


def test_outputs_do_not_share_memory():
    layer, x = recurra.LSTM(I, H), torch.randn(T, B, I)
    with torch.no_grad():
        output, (h, c) = layer(x)
        kept = [part.clone() for part in (output, h, c)]
        output.zero_(), h.zero_()
        again, (h, c) = layer(x)
    assert all(map(torch.equal, (again, h, c), kept))


def test_forms_are_forgotten_when_they_are_many(monkeypatch):
    monkeypatch.setattr("recurra.nn.shortcuts._MOST", 3)
    layer = recurra.GRU(I, H)
    for steps in range(1, 9):
        assert_same(layer, torch.randn(steps, B, I))
        assert len(layer._shortcuts._known) <= 3

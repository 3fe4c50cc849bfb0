"""Edits against loops written by hand in torch, where the same value is changed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

import recurra
from recurra import Recurrent, cells
from recurra.backends import choice
from recurra.backends.cpu import Cpu
from recurra.backends.reference import Reference
from recurra.errors import ShapeError, UnknownNameError, UsageError
from recurra.graph import cell, tanh
from recurra.inspection import Add, Hold, Scale
from recurra.inspection.changes import Change, changed, settled
from recurra.inspection.values import observable
from recurra.nn import AttentionDecoder
from support.checks import close, features

T, B, I, H = 6, 3, 4, 5
Gate = Callable[[str, Tensor, int], Tensor]


@pytest.fixture(params=["cpu", "reference"])
def backend(request: Any, monkeypatch: Any) -> str:
    backends = {"cpu": (Cpu(least=0), Reference()), "reference": (Reference(),)}[request.param]
    monkeypatch.setattr(choice, "BACKENDS", backends)
    return str(request.param)


def nothing(name: str, value: Tensor, t: int) -> Tensor:
    return value


def lstm_by_hand(
    layer: nn.LSTM, x: Tensor, change: Gate = nothing, number: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """One layer of torch.nn.LSTM, its equations as torch prints them, each value changed."""
    h = c = x.new_zeros(x.shape[1], layer.hidden_size)
    weight, recurrent = (
        getattr(layer, f"weight_ih_l{number}"),
        getattr(layer, f"weight_hh_l{number}"),
    )
    bias = getattr(layer, f"bias_ih_l{number}") + getattr(layer, f"bias_hh_l{number}")
    outputs = []
    for t in range(len(x)):
        sums = (x[t] @ weight.T + h @ recurrent.T + bias).chunk(4, -1)
        values = {}
        for name, own in zip("ifgo", sums, strict=True):
            before = change(f"{name}_pre", own, t)
            values[name] = change(name, before.tanh() if name == "g" else before.sigmoid(), t)
        c = change("c", values["f"] * c + values["i"] * values["g"], t)
        h = change("h", values["o"] * c.tanh(), t)
        outputs.append(h)
    return torch.stack(outputs), h, c


def lstm(**options: Any) -> tuple[nn.LSTM, Tensor]:
    torch.manual_seed(0)
    return nn.LSTM(I, H, dtype=torch.float64, **options), torch.randn(T, B, I, dtype=torch.float64)


def at(which: str, new: Callable[[Tensor], Any], steps: Any = range(T)) -> Gate:
    """Changes one value in some steps."""

    def change(name: str, value: Tensor, t: int) -> Tensor:
        if name != which or t not in steps:
            return value
        return torch.as_tensor(new(value), dtype=value.dtype).expand_as(value)

    return change


def unit_three(value: Tensor) -> Tensor:
    return torch.cat([value[:, :3], torch.zeros_like(value[:, :1]), value[:, 4:]], -1)


ROW = torch.linspace(-1, 1, H, dtype=torch.float64)
CASES = [
    pytest.param({"f": 1.0}, None, at("f", lambda v: 1.0), id="a gate held"),
    pytest.param({"f_pre": 0.5}, None, at("f_pre", lambda v: 0.5), id="before its activation"),
    pytest.param({"c": 0.0}, None, at("c", lambda v: 0.0), id="a state held"),
    pytest.param({"h": 0.25}, None, at("h", lambda v: 0.25), id="the output held"),
    pytest.param({"o": 0.3}, slice(2, 5), at("o", lambda v: 0.3, (2, 3, 4)), id="a slice"),
    pytest.param({"o": 0.3}, slice(1, None, 2), at("o", lambda v: 0.3, (1, 3, 5)), id="each other"),
    pytest.param({"o": 0.3}, [0, 3], at("o", lambda v: 0.3, (0, 3)), id="a list"),
    pytest.param({"o": 0.3}, range(3), at("o", lambda v: 0.3, range(3)), id="a range"),
    pytest.param({"o": 0.3}, 4, at("o", lambda v: 0.3, (4,)), id="one step"),
    pytest.param({"c[3]": 0.0}, None, at("c", unit_three), id="one unit"),
    pytest.param({"c[3]": 0.0}, [1, 2], at("c", unit_three, (1, 2)), id="a unit in some steps"),
    pytest.param({"i": Scale(0.5)}, None, at("i", lambda v: v / 2), id="scaled"),
    pytest.param({"i": Scale(0.0)}, None, at("i", lambda v: v * 0), id="cut"),
    pytest.param({"c": Add(0.5, steps=2)}, None, at("c", lambda v: v + 0.5, (2,)), id="added"),
    pytest.param({"g": Add(-1)}, range(2, 4), at("g", lambda v: v - 1, (2, 3)), id="whole number"),
    pytest.param({"i": ROW}, None, at("i", lambda v: ROW), id="a row"),
    pytest.param({"c": Add(ROW)}, 1, at("c", lambda v: v + ROW, (1,)), id="a row added"),
    pytest.param({"f": torch.tensor(0.5)}, None, at("f", lambda v: 0.5), id="a tensor of a number"),
    pytest.param({"rnn.0.forward.g": Hold(0.1)}, None, at("g", lambda v: 0.1), id="an address"),
]


@pytest.mark.parametrize(("edits", "steps", "change"), CASES)
def test_one_edit_is_the_loop_with_that_value_changed(
    backend: str, edits: Any, steps: Any, change: Gate
) -> None:
    layer, x = lstm()
    with recurra.edit(layer, edits, steps):
        output, (h, c) = layer(x)
    expected, *last = lstm_by_hand(layer, x, change)
    close(output, expected)
    close(torch.cat([h, c]), torch.stack(last))
    close(layer(x)[0], lstm_by_hand(layer, x)[0])  # and nothing is left of it


def test_a_value_of_its_own_for_each_step_and_row(backend: str) -> None:
    layer, x = lstm()
    whole, unit = torch.rand(T, B, H).double(), torch.rand(T, B, 1).double()

    def change(name: str, value: Tensor, t: int) -> Tensor:
        if name == "f":
            return whole[t]
        if name == "c":
            return torch.cat([value[:, :2], unit[t], value[:, 3:]], -1)
        return value + whole[2, 1] if name == "o" else value

    with recurra.edit(layer, {"f": whole, "c[2]": unit, "o": Add(whole[2:3, 1:2])}):
        close(layer(x)[0], lstm_by_hand(layer, x, change)[0])


def test_values_of_another_run_patched_in(backend: str) -> None:
    layer, x = lstm(num_layers=2)
    other = torch.randn_like(x)
    recording = recurra.record(layer, other)
    with recurra.edit(layer, {"rnn.0.forward.h": recording["rnn.0.forward.h"]}):
        close(layer(x)[0], layer_two(layer, other))


def layer_two(layer: nn.LSTM, x: Tensor) -> Tensor:
    return lstm_by_hand(layer, lstm_by_hand(layer, x)[0], number=1)[0]


def test_later_values_are_computed_from_earlier_ones_and_may_be_edited_too(backend: str) -> None:
    layer, x = lstm()

    def change(name: str, value: Tensor, t: int) -> Tensor:
        if name == "i_pre":
            return value * 2
        if name == "i":
            return value + 0.1
        if name == "c":
            return value * 0.9
        return value.new_full(value.shape, 0.5) if name == "f" else value

    edits = {"c": Scale(0.9), "i": Add(0.1), "f": 0.5, "i_pre": Scale(2)}
    with recurra.edit(layer, edits):
        close(layer(x)[0], lstm_by_hand(layer, x, change)[0])


def test_values_held_at_one_number_stay_two_values(backend: str) -> None:
    """Equal nodes are one node: what acts on one of them must not act on the other."""
    layer, x = lstm()

    def change(name: str, value: Tensor, t: int) -> Tensor:
        held = {"f": 2.0, "g": 1.0, "i_pre": 0.5, "o_pre": 0.5}
        if name in held:
            return torch.full_like(value, held[name])
        return value + 0.5 if name == "o" else value

    held = {"f": 1.0, "g": 1.0, "i_pre": 0.5, "o_pre": 0.5, "o": Add(0.5)}
    with recurra.edit(layer, held), recurra.edit(layer, {"f": Scale(2)}):
        close(layer(x)[0], lstm_by_hand(layer, x, change)[0])


def test_an_inner_edit_acts_on_what_the_outer_one_left(backend: str) -> None:
    layer, x = lstm()
    with recurra.edit(layer, {"f": Hold(0.5, steps=slice(3))}):
        with recurra.edit(layer, {"f": Scale(2, steps=slice(1, 4)), "c": Add(1.0)}):
            inside = layer(x)[0]
        outside = layer(x)[0]

    def outer(name: str, value: Tensor, t: int) -> Tensor:
        return value * 0 + 0.5 if name == "f" and t < 3 else value

    def inner(name: str, value: Tensor, t: int) -> Tensor:
        value = outer(name, value, t)
        return value * 2 if name == "f" and 1 <= t < 4 else value + 1 if name == "c" else value

    close(inside, lstm_by_hand(layer, x, inner)[0])
    close(outside, lstm_by_hand(layer, x, outer)[0])


def test_the_reverse_direction_counts_from_the_beginning_too(backend: str) -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(I, H, bidirectional=True, dtype=torch.float64)
    x, lengths = torch.randn(T, B, I, dtype=torch.float64), [T, 2, 4]
    ours = Recurrent("lstm", I, H, bidirectional=True, dtype=torch.float64)
    with recurra.edit(ours, {"*.reverse.h": 0.5, "*.forward.h": -0.5}, steps=[1, 3]):
        output, _ = ours(x, lengths=lengths)
    for row, length in enumerate(lengths):
        ends = [t for t in (1, 3) if t < length]
        assert set(output[ends, row, H:].flatten().tolist()) == {0.5}
        assert set(output[ends, row, :H].flatten().tolist()) == {-0.5}
        assert (output[:length, row].abs() == 0.5).sum() == len(ends) * 2 * H
        assert not output[length:, row].any()
    with recurra.edit(layer, {"*.reverse.h": 0.5}, steps=[1, 3]):
        assert (layer(x)[0][[1, 3], :, H:] == 0.5).all()


def test_a_recording_shows_what_was_done(backend: str) -> None:
    layer, x = lstm()
    with recurra.edit(layer, {"f": Hold(1.0), "o_pre": 0.0, "c[1]": Hold(9.0, steps=2)}):
        recording = recurra.record(layer, x)
    assert (recording["rnn.0.forward.f"] == 1).all()
    assert (recording["rnn.0.forward.o"] == 0.5).all()
    assert (recording["rnn.0.forward.o_pre"] == 0).all()
    assert (recording["rnn.0.forward.c[1]"] == 9).all(1).flatten().tolist() == [0, 0, 1, 0, 0, 0]
    held = recording["rnn.0.forward.f_pre"]  # what the gate would have been made of
    h = torch.cat([torch.zeros(1, B, H).double(), recording["rnn.0.forward.h"][:-1]])
    _, weight, _, _ = layer.weight_ih_l0.chunk(4)
    _, recurrent, _, _ = layer.weight_hh_l0.chunk(4)
    bias = (layer.bias_ih_l0 + layer.bias_hh_l0)[H : 2 * H]
    close(held, x @ weight.T + h @ recurrent.T + bias)


def test_gradients_go_through_an_edited_layer_and_into_the_value(backend: str) -> None:
    layer, x = lstm(num_layers=2)
    x, value = x[:3, :2, :].clone().requires_grad_(), torch.rand(3, 1, H).double().requires_grad_()

    def run(x: Tensor, value: Tensor, scale: Tensor) -> Tensor:
        edits = {"rnn.0.forward.c": value, "i": Scale(scale), "f[1]": 0.5}
        with recurra.edit(layer, {**edits, "rnn.1.forward.h": Add(value, steps=1)}):
            return torch.cat([layer(x)[0], *layer(x)[1]])

    assert gradcheck(run, (x, value, torch.tensor(0.7).double().requires_grad_()))


@pytest.mark.parametrize("name", [n for n in cells.names() if not n.startswith("lstm_grid")])
def test_every_value_of_every_cell_can_be_held(name: str) -> None:
    """While a value is held, it is what is recorded."""
    layer, x = any_layer(name)
    for number, value in enumerate(observable(layer.graph)):
        with recurra.edit(layer, {value: 0.25}, steps := [1, 4] if number % 2 else None):
            recording = recurra.record(layer, x, value)
        held = recording[f"rnn.0.forward.{value}"]
        assert (held[steps or slice(None)] == 0.25).all()
        gradients(recording.output, x)


@pytest.mark.parametrize("name", ["elman", "gru", "scrn", "rhn_2", "tau_gru", "lstm_layernorm"])
def test_kernels_hold_what_the_reference_holds(name: str) -> None:
    layer, x = any_layer(name)
    found: dict[type, list[Tensor]] = {Cpu: [], Reference: []}
    for kind, values in found.items():
        with pytest.MonkeyPatch.context() as patch:
            backends = (Cpu(least=0), Reference()) if kind is Cpu else (Reference(),)
            patch.setattr(choice, "BACKENDS", backends)
            for edits in ({state: 0.25 for state in layer.graph.state_names}, {"*_pre": 0.5}):
                for steps in (None, [1, 4]):
                    with recurra.edit(layer, edits, steps):
                        result = layer(x)
                    values += [result[0], *gradients(result, x)]
    for ours, theirs in zip(*found.values(), strict=True):
        close(ours, theirs)


def any_layer(name: str) -> tuple[Recurrent, Tensor]:
    torch.manual_seed(0)
    graph = cells.get(name).graph
    sizes = {s: 3 for _, shape in graph.leaf_shapes for s in shape if s not in "IH"}
    layer = Recurrent(name, features(name, I, H), H, sizes=sizes, dtype=torch.float64)
    x = torch.randn(T, B, layer.input_size, dtype=torch.float64, requires_grad=True)
    return layer, x


def gradients(result: Any, x: Tensor) -> list[Tensor]:
    output, state = result
    total = output.sum() + sum(s.sum() for s in (state if type(state) is tuple else [state]))
    if not total.requires_grad:
        return []
    (found,) = torch.autograd.grad(total, [x], allow_unused=True, materialize_grads=True)
    return [found]


# Streams and generation


@pytest.mark.parametrize("name", ["lstm", "gru", "clockwork", "sru", "mlstm", "lstm_depth_gated"])
def test_a_stream_does_what_the_layer_does(backend: str, name: str) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"dtype": torch.float64, "zoneout": 0.2, "residual": True}
    layer = Recurrent(name, H, H, 2, **options).eval()
    x, row = torch.randn(T, B, H, dtype=torch.float64), torch.rand(T, 1, H).double()
    first = next(iter(layer.graph.state_names))
    edits = {"*.0.*.h": Hold(row, steps=slice(1, None)), f"rnn.1.forward.{first}": Add(0.5)}
    edits |= {"rnn.1.forward.h[2]": Hold(0.0, steps=[2, 3])}
    before = layer.stream(B)
    with recurra.edit(layer, edits):
        output, _ = layer(x)
        stream = layer.stream(B)
        close(torch.stack([stream.step(one) for one in x]), output)
        stream.reset()
        close(torch.stack([stream.step(one) for one in x]), output)
        close(torch.stack([before.step(one) for one in x]), output)
    plain, _ = layer(x)
    for one in (stream, before):
        one.reset()
        close(torch.stack([one.step(step) for step in x]), plain)


def test_an_edit_comes_and_goes_while_a_stream_runs(backend: str) -> None:
    layer, x = lstm()
    ours = recurra.nn.from_torch(layer)
    stream = ours.stream(B)
    found = [stream.step(one) for one in x[:2]]
    with recurra.edit(ours, {"f": 1.0, "o": Hold(0.5, steps=3)}):
        found += [stream.step(one) for one in x[2:4]]
    found += [stream.step(one) for one in x[4:]]

    def change(name: str, value: Tensor, t: int) -> Tensor:
        if name == "f" and t in (2, 3):
            return torch.ones_like(value)
        return value * 0 + 0.5 if name == "o" and t == 3 else value

    close(torch.stack(found), lstm_by_hand(layer, x, change)[0])


def test_steps_go_on_from_call_to_call_where_a_state_is_given(backend: str) -> None:
    ours, x = Recurrent("lstm", I, H, dtype=torch.float64), lstm()[1]
    with recurra.edit(ours, {"o": 0.5}, steps=[1, 4]) as editing:
        whole, _ = ours(x)
        first, state = ours(x[:2])
        second, state = ours(x[2:4], state)
        stream = ours.stream(B)
        stream.state = state
        third = torch.stack([stream.step(one) for one in x[4:]])
        close(torch.cat([first, second, third]), whole)
        again, _ = ours(x[:2])  # no state: from the first step on
        close(again, first)
        last, _ = ours(x[4:], state, start=4)
        close(last, third)
        editing.restart()
        anew, _ = ours(x[:2], (torch.zeros(1, B, H).double(),) * 2)
        close(anew, first)


def test_generated_text_is_that_of_the_changed_model(backend: str) -> None:
    from recurra.data import Vocabulary
    from recurra.tasks import generate
    from recurra.tasks.text import TextModel, TextOptions

    torch.manual_seed(0)
    vocabulary = Vocabulary.from_counts("abcdefgh ")
    model = TextModel(len(vocabulary), TextOptions(hidden=8, layers=2, embedding=5)).eval()

    class Calls(nn.Module):  # the same model, called once for each character
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, tokens: Tensor, state: Any) -> Any:
            return self.inner(tokens, state)

    def text(model: nn.Module) -> list[float]:
        tokens = generate(model, vocabulary, "abc de", 8, top_k=1, seed=1)
        return [token.log_probs[0] for token in tokens]

    plain = text(model)
    edits = {"*.0.forward.f": 1.0}
    with recurra.edit(model, edits, steps=slice(7, 10)):
        streamed = text(model)
    held = Calls()
    with recurra.edit(held, edits, steps=slice(7, 10)):
        called = text(held)
    torch.testing.assert_close(streamed, called, rtol=1e-4, atol=1e-4)
    assert streamed[:2] == plain[:2]  # the steps 0 to 6 are as they were
    assert not math.isclose(streamed[2], plain[2], rel_tol=1e-4)


# Other layers


def test_an_attention_decoder(backend: str) -> None:
    torch.manual_seed(0)
    decoder = AttentionDecoder("lstm", I, H, 3, num_layers=2, dtype=torch.float64)
    x, memory = torch.randn(T, B, I).double(), torch.randn(4, B, 3).double()
    plain = decoder(x, memory)[0]
    with recurra.edit(decoder, {"layer.1.forward.c": 0.5, "h[0]": Hold(1.0, steps=[2])}):
        recording = recurra.record(decoder, (x, memory))
        ready, state, found = decoder.prepare(memory), None, []
        for one in x:
            output, state, _ = decoder.step(one, ready, state)
            found.append(output)
    output, _, weights = recording.output
    close(torch.stack(found), output)
    assert (recording["layer.1.forward.c"] == 0.5).all()
    assert torch.equal(recording["layer.1.forward.attention"], weights)
    lower, upper = (decoder.layer.weights(f"_l{n}") for n in (0, 1))
    h, c, top = torch.zeros(B, H).double(), torch.zeros(B, H).double(), torch.zeros(B, H).double()
    seen = decoder.attention.start(ready)
    for t in range(T):
        context, seen = decoder.attention(top, ready, seen)
        h, c = step_by_hand(lower, torch.cat([x[t], context], -1), h, c)
        h = torch.cat([h[:, :1] * 0 + 1, h[:, 1:]], -1) if t == 2 else h
        gate = torch.sigmoid(sums(upper, "o", h, top))
        top = gate * math.tanh(0.5)
        top = torch.cat([top[:, :1] * 0 + 1, top[:, 1:]], -1) if t == 2 else top
        close(output[t], torch.cat([context, top], -1))
    assert not torch.allclose(output, plain)


def sums(weights: Any, name: str, x: Tensor, h: Tensor) -> Tensor:
    return x @ weights[f"W_{name}"].T + h @ weights[f"U_{name}"].T + weights[f"b_{name}"]


def step_by_hand(weights: Any, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, o = (torch.sigmoid(sums(weights, name, x, h)) for name in "ifo")
    c = f * c + i * torch.tanh(sums(weights, "g", x, h))
    return o * torch.tanh(c), c


def test_a_layer_over_maps() -> None:
    torch.manual_seed(0)
    layer = recurra.ConvRecurrent("mgu", 2, 3, 3, num_layers=2, dtype=torch.float64)
    x, whole = torch.randn(T, B, 2, 4, 5).double(), torch.rand(T, 1, 4, 5, 3).double()
    edits = {"rnn.0.forward.h": whole, "rnn.1.forward.f": Hold(0.5, steps=[1]), "n[1]": 0.0}
    with recurra.edit(layer, edits):
        recording = recurra.record(layer, x)
    close(recording["rnn.0.forward.h"], whole.expand(T, B, 4, 5, 3))
    f, n, h = (recording[f"rnn.1.forward.{name}"] for name in "fnh")
    assert (f[1] == 0.5).all()
    assert not n[..., 1].any()
    close(h[1], (1 - f[1]) * h[0] + f[1] * n[1])
    convolved = nn.functional.conv2d(
        recording["rnn.0.forward.h"][2].movedim(-1, 1),
        layer.weight("W_f", 1),
        layer.weight("b_f", 1),
        padding=1,
    ) + nn.functional.conv2d(h[1].movedim(-1, 1), layer.weight("U_f", 1), padding=1)
    close(f[2], convolved.sigmoid().movedim(1, -1))
    close(recording.output[0], h.movedim(-1, 2))


def test_every_kind_of_sequence_and_long_ones_in_pieces(backend: str) -> None:
    torch.manual_seed(0)
    layer = Recurrent("gru", I, H, batch_first=True, checkpoint_every=2, dtype=torch.float64)
    x = torch.randn(B, T, I, dtype=torch.float64, requires_grad=True)
    edits = {"z": Hold(torch.rand(T, B, H).double(), steps=slice(1, 4)), "h[1]": Scale(0.5)}
    with recurra.edit(layer, edits):
        pieces = layer(x)[0]
        layer.checkpoint_every = None
        whole = layer(x)[0]
    close(pieces, whole)
    theirs, ours = (torch.autograd.grad(o.sum(), x)[0] for o in (whole, pieces))
    close(ours, theirs)
    torchs = nn.GRU(I, H, dtype=torch.float64)
    packed = nn.utils.rnn.pack_sequence([x[0].detach(), x[1, :2].detach()])
    with recurra.edit(torchs, {"h": 0.5}, steps=1):
        output, _ = nn.utils.rnn.pad_packed_sequence(torchs(packed)[0])
        single = torchs(x[0].detach())[0]
    assert (output[1] == 0.5).all()
    assert not output[2:, 1].any()
    close(single, output[:, 0])


# What a constant leaves to compute


def test_a_constant_gate_folds_into_the_graph() -> None:
    graph = cells.get("lstm").graph
    changes = (Change("f", "hold", 1.0, True, "", 0), Change("o", "hold", 0.0, True, "", 1))
    held = settled(changed(graph, changes), changes)
    plan = recurra.backends.reference.plan_of(held)
    names = {node.attribute for node in plan.graph.nodes if node.op == "parameter"}
    assert names == {f"{kind}_{gate}" for kind in "WUb" for gate in "ig"}
    operations = [node.op for node in plan.graph.nodes if node.op != "parameter"]
    assert operations.count("multiply") == 1  # i * g; f * c is c, o * tanh(c) is nothing
    assert changed(graph, changes) is changed(graph, changes)
    assert held.inputs == graph.inputs


# Copies, blocks


def test_a_copy_made_within_is_not_edited() -> None:
    layer, x = lstm()
    ours = recurra.nn.from_torch(layer)
    with recurra.edit(nn.ModuleList([layer, ours]), {"*.f": 1.0}):
        copies = copy.deepcopy(layer), copy.deepcopy(ours)
        assert not torch.allclose(layer(x)[0], copies[0](x)[0])
        close(layer(x)[0], ours(x)[0])
        close(copies[0](x)[0], copies[1](x)[0])
    assert ours.visitors == ()
    assert copies[1].visitors == ()
    close(copies[0](x)[0], layer(x)[0])


def test_blocks_may_end_in_any_order_and_by_an_error() -> None:
    layer = Recurrent("gru", I, H)
    first, second = recurra.edit(layer, {"z": 1.0}), recurra.edit(layer, {"r": 1.0})
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    x = torch.randn(T, B, I)
    recording = recurra.record(layer, x)
    assert (recording["rnn.0.forward.r"] == 1).all()
    assert not (recording["rnn.0.forward.z"] == 1).any()
    second.__exit__(None, None, None)
    with pytest.raises(RuntimeError, match="stop"), recurra.edit(layer, {"z": 1.0}):
        raise RuntimeError("stop")
    assert layer.visitors == ()


def test_a_state_that_takes_over_a_value_is_edited_alone() -> None:
    """What d takes over is the h before the step, which the step reads too."""

    @cell(state="h, d")
    def delayed(p, x, h, d):
        n = tanh(p.W_n @ x + p.U_n @ h + p.V_n @ d)
        d = h
        h = n
        return h, d

    layer = Recurrent(delayed, I, H, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64)
    with recurra.edit(layer, {"d": 7.0}):
        recording = recurra.record(layer, x)
    assert (recording["rnn.0.forward.d"] == 7).all()
    weight, h, d = layer.weight, torch.zeros(B, H).double(), torch.zeros(B, H).double()
    for t in range(T):
        h = torch.tanh(x[t] @ weight("W_n").T + h @ weight("U_n").T + d @ weight("V_n").T)
        d = torch.full_like(d, 7)
        close(recording["rnn.0.forward.h"][t], h)


# Refusals


@pytest.mark.parametrize(
    ("edits", "steps", "error", "words"),
    [
        ({"rnn.0.forward.ff": 1.0}, None, UnknownNameError, "Did you mean 'rnn.0.forward.f'"),
        ({"rnn.1.forward.f": 1.0}, None, UnknownNameError, "rnn.0.forward.f"),
        ({"f[5]": 1.0}, None, UsageError, "unit 5 does not exist; there are 0 to 4"),
        ({"f": torch.zeros(4)}, None, ShapeError, r"needs \(5,\), or \(T, B, 5\)"),
        ({"f": torch.zeros(B, H)}, None, ShapeError, r"\(T, B, 5\)"),
        ({"f[1,2]": torch.zeros(H)}, None, ShapeError, r"needs \(2,\)"),
        ({"f": "1"}, None, UsageError, "give a number, a tensor"),
        ({"f": True}, None, UsageError, "give a number, a tensor"),
        ({"f": math.nan}, None, UsageError, "give a number"),
        ({"f": 1.0}, slice(-3, None), UsageError, "a number from 0"),
        ({"f": 1.0}, [1.5], UsageError, "a number from 0"),
        ({"f": 1.0}, "2", UsageError, "a number from 0"),
        ({"f": 1.0}, slice(0, 4, 0), UsageError, "a number from 0"),
    ],
)
def test_what_means_nothing_is_refused(edits: Any, steps: Any, error: Any, words: str) -> None:
    layer, x = lstm()
    with pytest.raises(error, match=words), recurra.edit(layer, edits, steps):
        pass
    close(layer(x)[0], lstm_by_hand(layer, x)[0])


@pytest.mark.parametrize("shape", [(T, B + 1, H), (T - 1, B, H), (T, B, 1, H)])
def test_a_value_that_does_not_fit_the_call_is_refused(shape: tuple[int, ...]) -> None:
    layer, x = lstm()
    with recurra.edit(layer, {"f": torch.zeros(shape)}), pytest.raises(ShapeError, match="0 to 5"):
        layer(x)
    with recurra.edit(layer, {"f": torch.zeros(T - 1, B, H)}, steps=slice(0, T - 1)):
        layer(x)  # the last step needs none


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(UsageError, match="a dict is no model"), recurra.edit({}, {"f": 1.0}):
        pass
    for edits in (["f"], {3: 1.0}):
        without = recurra.edit(lstm()[0], edits)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="edits are given as"), without:
            pass
    without = recurra.edit(nn.Linear(2, 2), {"f": 1.0})
    with pytest.raises(UsageError, match="no recurrent layer"), without:
        pass

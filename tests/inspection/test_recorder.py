"""Recordings against loops over rows and steps, for every cell, option and kind of model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

import recurra
from recurra import Recurrent, cells
from recurra.backends import choice
from recurra.backends.reference import Reference
from recurra.errors import UnknownNameError, UsageError, WeightsError
from recurra.graph.facts import below
from support.checks import close, features
from support.recorded import Loop, as_tensors

T, B, I, H = 5, 3, 4, 3
LENGTHS = [5, 0, 3]


def layer_of(name: str, i: int = I, h: int = H, **options: Any) -> Recurrent:
    torch.manual_seed(1)
    letters = {letter for _, shape in cells.get(name).graph.leaf_shapes for letter in shape}
    sizes = {letter: 4 for letter in sorted(letters - {"I", "H"})}
    options.setdefault("dtype", torch.float64)
    layer = Recurrent(name, features(name, i, h), h, sizes=sizes, **options)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.5)
    return layer


def call_of(layer: Recurrent, steps: int = T, rows: int = B) -> dict[str, Any]:
    torch.manual_seed(2)
    dtype, graph = next(layer.parameters()).dtype, layer.graph
    extra = {
        str(leaf.attribute): torch.rand(
            steps, rows, layer.sizes[graph.shape(leaf)[0]] if graph.shape(leaf) else 1, dtype=dtype
        )
        for leaf in graph.inputs
        if leaf.attribute not in ("x", "t") and leaf not in below(graph)
    }
    x = torch.randn(steps, rows, layer.input_size, dtype=dtype)
    return {"x": x, **({"inputs": extra} if extra else {})}


def check(layer: Recurrent, call: dict[str, Any]) -> recurra.inspection.Recording:
    """Every recorded value, and every state before the first step, as the loop has it."""
    recording = recurra.record(layer, call)
    loop = Loop(layer, **call)
    expected = as_tensors(loop.values)
    missing = set(expected) - set(recording.values)
    constant = {name for name in missing if is_constant(layer, name)}  # what weights alone make
    assert missing == constant
    assert set(recording.values) <= set(expected)
    for name, value in recording.values.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-11, atol=1e-11, msg=name)
    assert list(recording.before) == list(loop.before)
    for name, before in as_tensors(loop.before).items():
        assert torch.equal(recording.before[name], before)
    close(recording.output[0], loop.output)
    return recording


def is_constant(layer: Recurrent, address: str) -> bool:
    name = address.rsplit(".", 1)[1].removesuffix("_pre")
    leaves = [dict(layer.graph.named)[name]]
    while leaves:
        node = leaves.pop()
        if node.op in ("input", "state", "given"):
            return False
        leaves += node.args
    return True


@pytest.mark.parametrize("name", cells.names())
def test_every_cell(name: str) -> None:
    layer = layer_of(name)
    recording = check(layer, call_of(layer))
    names = [address.rsplit(".", 1)[1] for address in recording.values]
    assert set(layer.graph.state_names) <= set(names)
    assert {name for name, _ in layer.graph.named} - set(names) <= {
        n for n, _ in layer.graph.named if is_constant(layer, f"rnn.0.forward.{n}")
    }


@pytest.mark.parametrize("name", ["lstm", "gru", "lstm_depth_gated", "sru", "lstm_phased", "scrn"])
@pytest.mark.parametrize(
    "options",
    [
        {"num_layers": 2},
        {"bidirectional": True, "num_layers": 2},
        {"bias": False},
        {"zoneout": 0.3},
        {"learn_initial_state": True, "num_layers": 2},
        {"residual": True, "num_layers": 2},
        {"dropout": 0.5, "input_dropout": 0.5, "recurrent_dropout": 0.5, "num_layers": 2},
        {"checkpoint_every": 2},
    ],
    ids=lambda options: ",".join(options),
)
def test_every_option(name: str, options: dict[str, Any]) -> None:
    layer = layer_of(name, H, **options)
    check(layer, call_of(layer))


@pytest.mark.parametrize("name", ["lstm", "gru", "clockwork", "lstm_grid", "qrnn", "mlstm"])
def test_lengths_resets_and_states(name: str) -> None:
    layer = layer_of(
        name, H, bidirectional=name != "lstm_grid", num_layers=2, learn_initial_state=True
    )
    call = call_of(layer)
    reset = torch.tensor([[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]).bool()
    check(layer, call | {"lengths": LENGTHS})
    recording = check(layer, call | {"lengths": LENGTHS, "reset": reset})
    for value in recording.values.values():
        assert not value[:, 1].any()
        assert not value[3:, 2].any()
    state = recurra.nn.state.each(recording.output[1], lambda part: torch.randn_like(part))
    check(layer, call | {"state": state})


def test_tied_layers() -> None:
    layer = layer_of("mgu", H, num_layers=3, tied=True)
    check(layer, call_of(layer))


def test_forms_of_a_batch() -> None:
    layer = layer_of("lstm", num_layers=2, bidirectional=True)
    x = call_of(layer)["x"]
    whole = recurra.record(layer, {"x": x, "lengths": [5, 4, 1]})
    packed = recurra.record(layer, pack_padded_sequence(x, torch.tensor([5, 4, 1])))
    layer.batch_first = True
    first = recurra.record(layer, x.transpose(0, 1), lengths=[5, 4, 1])
    alone = recurra.record(layer, x[:4, 1])
    for name, value in whole.values.items():
        close(packed[name], value)
        close(first[name], value)
        close(alone[name], value[:4, 1:2])
    assert packed.lengths is not None
    assert packed.lengths.tolist() == [5, 4, 1]


# By hand, from the printed equations


def sums(layer: Recurrent, name: str, x: Tensor, h: Tensor) -> Tensor:
    return x @ layer.weight(f"W_{name}").T + h @ layer.weight(f"U_{name}").T


def by_hand(layer: Recurrent, x: Tensor) -> Iterator[dict[str, Tensor]]:
    """The values of each step of four cells, as their papers have them."""
    h = c = x.new_zeros(x.shape[1], H)
    weight, sigmoid, tanh = layer.weight, torch.sigmoid, torch.tanh
    for now in x:
        if layer.cell.name == "elman":
            pre = sums(layer, "h", now, h) + weight("b_h")
            h = tanh(pre)
            yield {"h_pre": pre, "h": h}
        elif layer.cell.name == "mgu":  # Zhou et al. 2016
            f = sigmoid(sums(layer, "f", now, h) + weight("b_f"))
            n = tanh(sums(layer, "n", now, f * h) + weight("b_n"))
            h = (1 - f) * h + f * n
            yield {"f": f, "n": n, "h": h}
        else:  # lstm_peephole: Gers & Schmidhuber 2000
            i_pre = sums(layer, "i", now, h) + weight("v_i") * c + weight("b_i")
            f_pre = sums(layer, "f", now, h) + weight("v_f") * c + weight("b_f")
            g = tanh(sums(layer, "g", now, h) + weight("b_g"))
            c = sigmoid(f_pre) * c + sigmoid(i_pre) * g
            o = sigmoid(sums(layer, "o", now, h) + weight("v_o") * c + weight("b_o"))
            h = o * tanh(c)
            yield {"i_pre": i_pre, "f_pre": f_pre, "f": sigmoid(f_pre), "o": o, "c": c, "h": h}


@pytest.mark.parametrize("name", ["elman", "mgu", "lstm_peephole"])
def test_cells_by_hand(name: str) -> None:
    layer = layer_of(name)
    x = call_of(layer)["x"]
    recording = recurra.record(layer, x)
    for t, values in enumerate(by_hand(layer, x)):
        for value, expected in values.items():
            close(recording[f"rnn.0.forward.{value}"][t], expected)


def test_torch_lstm_by_hand() -> None:
    torch.manual_seed(0)
    lstm, x = nn.LSTM(I, H, 2, dtype=torch.float64), torch.randn(T, B, I, dtype=torch.float64)
    recording, read = recurra.record(lstm, x), x
    for layer in (0, 1):
        own = [getattr(lstm, f"{kind}_l{layer}") for kind in ("weight_ih", "weight_hh")]
        bias = getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")
        h = c = torch.zeros(B, H).double()
        outputs = []
        for t in range(T):
            parts = (read[t] @ own[0].T + h @ own[1].T + bias).chunk(4, -1)
            pre = dict(zip(("i", "f", "g", "o"), parts, strict=True))
            values = {name: v.tanh() if name == "g" else v.sigmoid() for name, v in pre.items()}
            c = values["f"] * c + values["i"] * values["g"]
            h = values["o"] * c.tanh()
            values |= {"c": c, "h": h} | {f"{name}_pre": v for name, v in pre.items()}
            for name, value in values.items():
                close(recording[f"rnn.{layer}.forward.{name}"][t], value)
            outputs.append(h)
        read = torch.stack(outputs)


def test_torch_gru_by_hand() -> None:
    torch.manual_seed(0)
    gru, x = nn.GRU(I, H, dtype=torch.float64), torch.randn(T, B, I, dtype=torch.float64)
    recording, h = recurra.record(gru, x), torch.zeros(B, H).double()
    for t in range(T):
        of_x = (x[t] @ gru.weight_ih_l0.T + gru.bias_ih_l0).chunk(3, -1)
        of_h = (h @ gru.weight_hh_l0.T + gru.bias_hh_l0).chunk(3, -1)
        r, z = (of_x[0] + of_h[0]).sigmoid(), (of_x[1] + of_h[1]).sigmoid()
        n = (of_x[2] + r * of_h[2]).tanh()
        h = (1 - z) * n + z * h
        for name, value in {"r": r, "z": z, "n": n, "h": h, "z_pre": of_x[1] + of_h[1]}.items():
            close(recording[f"rnn.0.forward.{name}"][t], value)


# Recording changes nothing


@pytest.mark.parametrize("name", cells.names())
def test_recording_changes_no_bit_of_the_output(name: str) -> None:
    """On whatever runs calls of this size, kernels where there are some."""
    layer = layer_of(name, 33, 33, dtype=torch.float32)
    call = call_of(layer, 9, 29)  # 9 * 29 * 33 values are more than 2**13
    with torch.no_grad():
        plain = flat(layer(**call))
        found = flat(recurra.record(layer, call).output)
    for ours, theirs in zip(found, plain, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("name", ["lstm", "gru", "elman", "lstm_depth_gated"])
def test_recording_changes_no_bit_of_any_layer(
    name: str, reference: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reference:
        monkeypatch.setattr(choice, "BACKENDS", (Reference(),))
    layer = layer_of(name, 32, 32, num_layers=2, bidirectional=True, zoneout=0.1).eval()
    call = call_of(layer, 12, 30) | {"lengths": torch.arange(30) % 13}
    plain = flat(layer(**call))
    for names in (None, "*.1.*.h", ["h", "*_pre"]):
        for ours, theirs in zip(
            flat(recurra.record(layer, call, names).output), plain, strict=True
        ):
            assert torch.equal(ours, theirs)
    for before, after in zip(plain, flat(layer(**call)), strict=True):
        assert torch.equal(before, after)
    assert layer.visitors == ()


def flat(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else [t for one in value for t in flat(one)]


# Models of torch


class Model(nn.Module):
    """An encoder, another one, a head; the first is called twice."""

    def __init__(self, kind: type[nn.RNNBase], **options: Any) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.encoder = kind(I, H, num_layers=2, dropout=0.5, **options)
        size = H * (2 if options.get("bidirectional") else 1)
        size = options.get("proj_size", 0) or size
        self.inner = nn.ModuleDict({"second": nn.GRU(size, H, batch_first=True)})
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(H, 2))

    def forward(self, x: Tensor) -> Tensor:
        first, _ = self.encoder(x)
        again, _ = self.encoder(x + 1)
        second, _ = self.inner["second"]((first + again).transpose(0, 1))
        return self.head(second)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (nn.LSTM, {}),
        (nn.LSTM, {"proj_size": 2}),
        (nn.LSTM, {"bidirectional": True}),
        (nn.GRU, {"bidirectional": True, "bias": False}),
        (nn.RNN, {}),
        (nn.RNN, {"nonlinearity": "relu"}),
    ],
    ids=str,
)
def test_models_of_torch(kind: type[nn.RNNBase], options: dict[str, Any]) -> None:
    """Dropout is off while it is recorded; each layer is heard, at each of its calls."""
    model = Model(kind, **options).double()
    model.head.eval()
    x = torch.randn(T, B, I).double()
    recording = recurra.record(model, x)
    assert model.training
    assert model.encoder.training
    assert not model.head.training
    model.eval()
    assert torch.equal(recording.output, model(x))
    seen, _ = model.encoder(x)
    again, _ = model.encoder(x + 1)
    directions = ("forward", "reverse") if model.encoder.bidirectional else ("forward",)
    top = torch.cat([recording[f"encoder.1.{direction}.h"] for direction in directions], -1)
    close(top, torch.cat([seen, again]))
    second, _ = model.inner["second"]((seen + again).transpose(0, 1))
    close(recording["inner.second.0.forward.h"], second.transpose(0, 1))
    assert recording.parts["inner.second.0.forward"].cell == "gru"
    assert not model.encoder._forward_hooks


def test_packed_input_of_torch() -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(I, H, bidirectional=True).double()
    rows = [torch.randn(n, I).double() for n in (2, 5, 3)]
    recording = recurra.record(lstm, pack_sequence(rows, enforce_sorted=False))
    assert recording.lengths is not None
    assert recording.lengths.tolist() == [2, 5, 3]
    for number, row in enumerate(rows):
        alone = recurra.record(lstm, row)
        for name, value in alone.values.items():
            close(recording[name][: len(row), number], value[:, 0])
            assert not recording[name][len(row) :, number].any()


def test_shared_weights_stay_shared() -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(I, I, 2)
    lstm.weight_ih_l1 = lstm.weight_ih_l0
    both = nn.ModuleList([lstm, nn.LSTM(I, I)])
    both[1].weight_hh_l0 = lstm.weight_hh_l0
    recording = recurra.record(lstm, torch.randn(T, B, I), "*.h")
    total = recording["rnn.1.forward.h"].square().sum()
    (ours,) = torch.autograd.grad(total, lstm.weight_ih_l0, retain_graph=True)
    (theirs,) = torch.autograd.grad(recording.output[0].square().sum(), lstm.weight_ih_l0)
    torch.testing.assert_close(ours, theirs)


class Doubled(nn.LSTM):
    """A subclass that gives out something else than its equations."""

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        output, state = super().forward(input, hx)
        return 2 * output, state


def test_what_is_not_the_layer_of_torch_is_refused() -> None:
    x = torch.randn(T, B, I)
    with pytest.raises(WeightsError, match="Doubled is none of"):
        recurra.record(Doubled(I, H), x)
    lstm = nn.LSTM(I, H)
    handle = lstm.register_forward_hook(lambda module, args, output: (output[0] + 1, output[1]))
    with pytest.raises(WeightsError, match="changed by a hook or a subclass"):
        recurra.record(lstm, x)
    handle.remove()
    recurra.record(lstm, x)


# What is asked for


def test_patterns() -> None:
    layer, x = layer_of("lstm", num_layers=2, bidirectional=True), torch.randn(T, B, I).double()
    for names, expected in (
        ("f", 4),
        ("*.f", 4),
        ("rnn.1.*", 20),
        ("rnn.?.reverse.c", 2),
        (["rnn.0.forward.i_pre", "rnn.1.reverse.h"], 2),
        ("*_pre", 16),
        (None, 40),
    ):
        recording = recurra.record(layer, x, names)
        assert len(recording.values) == expected, names
        if isinstance(names, str):
            assert recording.find(names) == list(recording.values)
    with pytest.raises(UnknownNameError, match=r"Did you mean 'rnn\.0\.forward\.f'"):
        recurra.record(layer, x, "rnn.0.forwrd.f")
    with pytest.raises(UnknownNameError, match="unknown value"):
        recurra.record(layer, x, ["f", "q"])


def test_what_cannot_be_recorded_is_refused() -> None:
    with pytest.raises(UsageError, match="no recurrent layer"):
        recurra.record(nn.Linear(2, 2), torch.ones(1, 2))
    with pytest.raises(UsageError, match="is no model"):
        recurra.record("lstm", torch.ones(1, 2))

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(UsageError, match="ran none of its recurrent layers"):
        recurra.record(Idle(), torch.ones(1, 2))
    with pytest.raises(UsageError, match=r"LSTM has no argument lengths.*pack_padded_sequence"):
        recurra.record(nn.LSTM(2, 2), torch.ones(3, 1, 2), lengths=[2])
    for name in (3, [None], ["f", 1.5]):
        with pytest.raises(UsageError, match="is no address"):
            recurra.record(recurra.LSTM(2, 2), torch.ones(3, 1, 2), name)  # type: ignore[arg-type]


class Compiled:
    """Ways to compile a model, or a part of it, each by a compiler that fails when it is used."""

    @staticmethod
    def whole(model: nn.Module) -> nn.Module:
        return cast(nn.Module, torch.compile(model, backend=unusable))

    @staticmethod
    def layer(model: nn.Module) -> nn.Module:
        model.encoder = torch.compile(model.encoder, backend=unusable)
        return model

    @staticmethod
    def in_place(model: nn.Module) -> nn.Module:
        model.compile(backend=unusable)
        return model


def unusable(*_: Any) -> Any:
    raise AssertionError("compiled")


@pytest.mark.parametrize("way", [Compiled.whole, Compiled.layer, Compiled.in_place])
def test_compiled_models_run_uncompiled(way: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = Model(nn.LSTM).eval(), torch.randn(T, B, I)
    plain = recurra.record(model, x)
    compiled = way(model)
    seen = recurra.record(compiled, x)
    assert list(seen.values) == list(plain.values)
    assert all(torch.equal(seen[address], plain[address]) for address in plain.values)
    assert "rnn.0.forward.f" in recurra.record(torch.compile(nn.LSTM(I, H), backend=unusable), x)
    with recurra.edit(compiled, {"encoder.0.forward.f": 1.0}):
        assert bool((recurra.record(compiled, x, "encoder.*.f")["encoder.0.forward.f"] == 1).all())


# Decoders and maps


@pytest.mark.parametrize("kind", [recurra.nn.AttentionDecoder, recurra.nn.InputFeedingDecoder])
def test_a_decoder(kind: Any) -> None:
    torch.manual_seed(0)
    decoder = kind("gru", I, H, 2, num_layers=2, dtype=torch.float64)
    x, memory = torch.randn(T, B, I).double(), torch.randn(4, B, 2).double()
    plain = flat(decoder(x, memory, lengths=LENGTHS))
    recording = recurra.record(decoder, (x, memory), lengths=LENGTHS)
    for ours, theirs in zip(flat(recording.output), plain, strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(recording["layer.1.forward.attention"], recording.output[2])
    r, z, n, h = (recording[f"layer.1.forward.{name}"] for name in "rznh")
    lower, weight = recording["layer.0.forward.h"], decoder.layer.weight
    before = torch.cat([torch.zeros(1, B, H).double(), h[:-1]])
    alive = recording.alive.unsqueeze(-1)
    inside = lower @ weight("W_r", 1).T + before @ weight("U_r", 1).T + weight("b_r", 1)
    close(r, alive * inside.sigmoid())
    close(h, alive * ((1 - z) * n + z * before))


def test_a_layer_over_maps_with_lengths() -> None:
    torch.manual_seed(0)
    layer = recurra.ConvLSTM(2, 3, 3, bidirectional=True, dims=1, dtype=torch.float64)
    x = torch.randn(T, B, 2, 6).double()
    recording = recurra.record(layer, x, lengths=LENGTHS)
    plain = layer(x, lengths=LENGTHS)
    for ours, theirs in zip(flat(recording.output), flat(plain), strict=True):
        assert torch.equal(ours, theirs)
    assert recording["rnn.0.reverse.f"].shape == (T, B, 6, 3)
    directions = [recording[f"rnn.0.{d}.h"] for d in ("forward", "reverse")]
    assert torch.equal(torch.cat(directions, -1).movedim(-1, 2), recording.output[0])
    alone = recurra.record(layer, x[:3, 2:])
    for name, value in alone.values.items():
        close(recording[name][:3, 2:], value)

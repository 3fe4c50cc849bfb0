"""Contributions of steps to states, outputs and logits: by hand, and exact sums in every cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recurra import Recurrent, cells
from recurra.errors import UnknownNameError, UsageError
from recurra.inspection import (
    contributions_to_logits,
    contributions_to_output,
    contributions_to_state,
    find_memories,
    record,
)
from support.checks import call_values, layer_of

T, B, H = 6, 3, 5
LENGTHS = [6, 2, 4]


def recorded(layer: nn.Module, lengths: list[int] | None = None, seed: int = 0):
    torch.manual_seed(seed)
    x = torch.randn(T, B, 4, dtype=next(layer.parameters()).dtype)
    if lengths is None or not isinstance(layer, nn.RNNBase):
        return record(layer, x, lengths=lengths)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    return record(layer, packed)


def by_hand(f: np.ndarray, w: np.ndarray, start: np.ndarray):
    """(shares of the steps, of the start) after the last of some steps of one row, unit by unit."""
    shares = np.array([w[u] * f[u + 1 :].prod(0) for u in range(len(f))]).reshape(f.shape)
    return shares, start * f.prod(0)


@pytest.mark.parametrize("step", [None, 0, 3, -1])
@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_an_lstm_of_torch_by_hand(direction: str, step: int | None) -> None:
    layer = nn.LSTM(4, H, bidirectional=True, dtype=torch.float64)
    recording = recorded(layer, LENGTHS)
    part = f"rnn.0.{direction}"
    found = contributions_to_state(recording, f"{part}.c", step)
    f, i, g = (recording[f"{part}.{name}"].detach().numpy() for name in "fig")
    states = recording[f"{part}.c"].detach()
    for row, length in enumerate(LENGTHS):
        if direction == "forward":
            read = list(range(length))[: None if step is None else step % T + 1]
        else:
            read = list(range(length))[::-1]
            read = [t for t in read if step is None or t >= step % T]
        w = (i * g)[read, row]
        shares, start = by_hand(f[read, row], w, np.zeros(H))
        expected = np.zeros((T, H))
        expected[read] = shares
        np.testing.assert_allclose(found.shares[:, row], expected, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(found.written[read, row], w)
        np.testing.assert_allclose(found.initial[row], start)
        state = states[read[-1], row] if read else torch.zeros(H).double()
        np.testing.assert_allclose(found.state[row], state)
        np.testing.assert_allclose(expected.sum(0), state, atol=1e-15)


@pytest.mark.parametrize("name", [n for n in cells.names() if find_memories(cells.get(n).graph)])
def test_the_parts_sum_to_the_state_in_every_cell(name: str) -> None:
    layer = layer_of(name)
    x, states, extra = call_values(layer, steps=5, rows=3)
    given = {"x": x, "state": states if len(states) > 1 else states[0], "inputs": extra}
    recording = record(layer, given, lengths=[5, 0, 3])
    _, after = layer(**given, lengths=[5, 0, 3])
    after = dict(zip(layer.graph.state_names, after if len(states) > 1 else [after], strict=True))
    for memory in find_memories(layer.graph):
        found = contributions_to_state(recording, f"rnn.0.forward.{memory.state}")
        total = found.shares.sum(0) + found.initial
        torch.testing.assert_close(total, found.state, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(found.state, after[memory.state][0].detach())
        start = dict(zip(layer.graph.state_names, states, strict=True))[memory.state][0, 1]
        torch.testing.assert_close(found.initial[1], start)  # nothing read, nothing lost
        assert not found.shares[3:, 2].any()


def test_float32_sums_to_a_millionth() -> None:
    recording = recorded(nn.LSTM(4, 64), LENGTHS)
    found = contributions_to_state(recording, "c")
    assert float((found.shares.sum(0) + found.initial - found.state).abs().max()) < 1e-6


def test_the_old_state_decays_by_the_gates() -> None:
    layer = Recurrent("gru", 4, H, dtype=torch.float64)
    start = torch.randn(1, B, H).double()
    recording = record(layer, (torch.randn(T, B, 4).double(), start))
    found = contributions_to_state(recording, "rnn.0.forward.h")
    z = recording["rnn.0.forward.z"].detach()
    torch.testing.assert_close(found.initial, start[0] * z.prod(0))
    torch.testing.assert_close(found.left[2], z[3:].prod(0))


WITH_LINE = (
    *("lstm", "gru", "mgu", "lstm_projection", "lstm_layernorm", "sru", "slstm", "mlstm", "ran"),
    *("lstm_peephole", "qrnn", "tlstm", "lstm_phased", "hgrn", "scrn"),
)


@pytest.mark.parametrize("name", cells.names())
def test_the_output_is_the_sum_or_refused(name: str) -> None:
    layer = layer_of(name)
    x, states, extra = call_values(layer, steps=4, rows=3)
    given = {"x": x, "state": states if len(states) > 1 else states[0], "inputs": extra}
    output = layer(**given, lengths=[4, 0, 2])[0].detach()
    recording = record(layer, given, lengths=[4, 0, 2])
    for step, expected in ((None, output[[3, 0, 1], [0, 1, 2]]), (2, output[[2, 0, 1], [0, 1, 2]])):
        try:
            found = contributions_to_output(recording, step)
        except UsageError:
            assert name not in WITH_LINE
            return
        torch.testing.assert_close(found.total, expected, rtol=1e-9, atol=1e-10)
        total = found.shares.sum(0) + found.initial + found.rest
        torch.testing.assert_close(total, found.total)
        assert not found.shares[:, 1].any()  # the row has no steps
        assert float(found.shares[:, 0].abs().sum()) > 0


def test_the_output_of_an_lstm_is_allocated_by_the_secant() -> None:
    recording = recorded(Recurrent("lstm", 4, H, dtype=torch.float64))
    c = contributions_to_state(recording, "c")
    found = contributions_to_output(recording)
    o = recording["rnn.0.forward.o"][-1].detach()
    torch.testing.assert_close(found.shares, o * (c.state.tanh() / c.state) * c.shares)
    assert not found.rest.any()


def test_a_memory_of_exactly_zero_is_no_division_by_zero() -> None:
    layer = Recurrent("lstm", 4, H, dtype=torch.float64)
    layer.set_weight("W_g", 0.0)
    layer.set_weight("U_g", 0.0)
    layer.set_weight("b_g", 0.0)
    found = contributions_to_output(recorded(layer))
    assert not found.shares.any()


class Reader(nn.Module):
    """Scores at each step, or of a whole sequence."""

    def __init__(self, whole: bool, **options: bool) -> None:
        super().__init__()
        self.whole = whole
        self.lstm = nn.LSTM(4, H, num_layers=2, **options)
        self.head = nn.Linear(H * (2 if options.get("bidirectional") else 1), 7)

    def forward(self, x: Tensor) -> Tensor:
        output, (h, _) = self.lstm(x)
        return self.head(
            torch.cat(list(h[-2:] if self.lstm.bidirectional else h[-1:]), -1)
            if self.whole
            else output
        )


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_logits_of_a_torch_model(bidirectional: bool, batch_first: bool) -> None:
    torch.manual_seed(4)
    x = torch.randn(*((B, T) if batch_first else (T, B)), 4, dtype=torch.float64)
    options = {"bidirectional": bidirectional, "batch_first": batch_first}

    model = Reader(True, **options).double()
    found = contributions_to_logits(record(model, x))
    torch.testing.assert_close(found.total, model(x).detach())
    torch.testing.assert_close(found.shares.sum(0) + found.initial + found.rest, found.total)
    torch.testing.assert_close(found.rest, model.head.bias.detach().expand(B, 7))

    model = Reader(False, **options).double()
    logits = model(x).detach()
    logits = logits.transpose(0, 1) if batch_first else logits
    for step in (2, -1):
        found = contributions_to_logits(record(model, x), step)
        torch.testing.assert_close(found.total, logits[step])
        if bidirectional and step == 2:
            assert float(found.shares[4].abs().sum()) > 0
        elif step == 2:
            assert not found.shares[3:].any()


def test_what_cannot_be_divided_is_refused_with_what_to_do() -> None:
    recording = recorded(nn.LSTM(4, H))
    with pytest.raises(UsageError, match=r"h of cell lstm is no additive memory.*: c"):
        contributions_to_state(recording, "h")
    with pytest.raises(UnknownNameError):
        contributions_to_state(recording, "q")
    with pytest.raises(UsageError, match=r"step 6 does not exist; the recording has 0 to 5"):
        contributions_to_state(recording, "c", 6)
    with pytest.raises(UsageError, match=r"Give one of them"):
        contributions_to_state(recorded(nn.LSTM(4, H, bidirectional=True)), "c")
    with pytest.raises(UsageError, match=r"what is kept of .*, f, needs .*record"):
        contributions_to_state(record(nn.LSTM(4, H), torch.randn(T, B, 4), "c"), "c")
    with pytest.raises(UsageError, match=r"no sum over the parts.*integrated_gradients"):
        contributions_to_output(recorded(nn.RNN(4, H)))
    with pytest.raises(UsageError, match=r"zoneout"):
        contributions_to_state(recorded(Recurrent("lstm", 4, H, zoneout=0.5)), "c")
    with pytest.raises(UsageError, match=r"head="):
        contributions_to_logits(recording)


def test_a_layer_that_is_not_below_the_head_is_found_out() -> None:
    model = Reader(False)
    recording = record(model, torch.randn(T, B, 4))
    with pytest.raises(UsageError, match=r"something stands between"):
        contributions_to_logits(recording, -1, layer="lstm.0")
    with pytest.raises(UsageError, match=r"no layer 'lstm.2' was .* are lstm.0, lstm.1"):
        contributions_to_logits(recording, -1, layer="lstm.2")


def test_only_what_is_needed_is_recorded() -> None:
    recording = record(nn.LSTM(4, H), torch.randn(T, B, 4), ["c", "f"])
    found = contributions_to_state(recording, "c")
    torch.testing.assert_close(found.shares.sum(0) + found.initial, found.state)

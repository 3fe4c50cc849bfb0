"""Gradients through time, against autograd over hand-written loops of torch's cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recurra import Recurrent, cells
from recurra.errors import UnknownNameError, UsageError
from recurra.graph import Expression, cell, tanh
from recurra.inspection import gradients_through_time
from recurra.inspection.evaluation import weights_of
from recurra.inspection.gradients import gradient
from support.checks import call_values, layer_of
from support.naive import evaluate

T, B, H = 7, 3, 5


def unrolled(layer: nn.LSTM | nn.GRU, x: Tensor, place: str, lengths: list[int]):
    """The outputs (T, B, H) and the states of each step, in a loop over the equations of torch."""
    w, u = (getattr(layer, f"weight_{kind}_{place}") for kind in ("ih", "hh"))
    b, d = (getattr(layer, f"bias_{kind}_{place}") for kind in ("ih", "hh"))
    h = c = torch.zeros(B, H, dtype=x.dtype)
    states = {}
    for t in reversed(range(T)) if place.endswith("reverse") else range(T):
        read, fed = (
            (x[t] @ w.T + b).chunk(w.shape[0] // H, 1),
            (h @ u.T + d).chunk(w.shape[0] // H, 1),
        )
        if isinstance(layer, nn.LSTM):
            i, f, g, o = (one + other for one, other in zip(read, fed, strict=True))
            c_t = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h_t = o.sigmoid() * c_t.tanh()
        else:
            r, z = ((one + other).sigmoid() for one, other in zip(read[:2], fed[:2], strict=True))
            h_t = c_t = (1 - z) * (read[2] + r * fed[2]).tanh() + z * h
        states[t] = (h_t, c_t)
        alive = (t < torch.tensor(lengths)).unsqueeze(1)
        h, c = torch.where(alive, h_t, h), torch.where(alive, c_t, c)
    alive = (torch.arange(T).unsqueeze(1) < torch.tensor(lengths)).unsqueeze(-1)
    output = torch.stack([states[t][0] for t in range(T)]) * alive
    count = 2 if isinstance(layer, nn.LSTM) else 1
    return output, [[states[t][k] for t in range(T)] for k in range(count)]


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell])
def test_the_hidden_state_against_torchs_own_cell(kind: type) -> None:
    torch.manual_seed(0)
    one = kind(4, H)
    layer = (nn.LSTM if kind is nn.LSTMCell else nn.GRU)(4, H)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(layer, f"{name}_l0", getattr(one, name))
    x, state, hidden = torch.randn(T, B, 4), None, []
    for t in range(T):
        state = one(x[t], state)
        hidden.append(state[0] if isinstance(state, tuple) else state)
    expected = torch.autograd.grad(hidden[-1].exp().sum(), hidden)
    found = gradients_through_time(layer, x, "h", lambda output: output[0][-1].exp().sum())
    for t in range(T):
        torch.testing.assert_close(found["rnn.0.forward.h"].values[t], expected[t])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("lengths", [[7, 7, 7], [7, 3, 5]])
def test_against_autograd_over_an_unrolled_loop(kind: type, lengths: list[int]) -> None:
    torch.manual_seed(0)
    layer = kind(4, H, num_layers=2, bidirectional=True, dtype=torch.float64).eval()
    x = torch.randn(T, B, 4, dtype=torch.float64)
    weight = torch.randn(T, B, 2 * H, dtype=torch.float64)
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)

    def loss(output) -> Tensor:
        padded, _ = nn.utils.rnn.pad_packed_sequence(output[0])
        return (padded * weight).sum()

    found = gradients_through_time(layer, packed, loss=loss)

    expected = {}
    below = x
    for number in range(2):
        outputs = []
        for direction, suffix in (("forward", ""), ("reverse", "_reverse")):
            output, states = unrolled(layer, below, f"l{number}{suffix}", lengths)
            outputs.append(output)
            for name, own in zip("hc", states, strict=False):
                expected[f"rnn.{number}.{direction}.{name}"] = own
        below = torch.cat(outputs, -1)
    wanted = [step for own in expected.values() for step in own]
    values = torch.autograd.grad((below * weight).sum(), wanted, allow_unused=True)
    assert set(found) == set(expected)
    for address in expected:
        parts, values = values[:T], values[T:]
        for t, part in enumerate(parts):
            alive = (t < torch.tensor(lengths)).unsqueeze(1)
            own = torch.zeros(B, H).double() if part is None else part * alive
            torch.testing.assert_close(found[address].values[t], own, rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(found[address].norms[t], own.norm(dim=1))


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_against_finite_differences(name: str) -> None:
    """A state is moved after the first step, in the node-by-node evaluation in NumPy."""
    layer = layer_of(name)
    x, states, extra = call_values(layer)
    weight = torch.randn(3, 2, layer.output_size).double()
    given = {"x": x, "state": states if len(states) > 1 else states[0], "inputs": extra}
    found = gradients_through_time(layer, given, loss=lambda output: (output[0] * weight).sum())
    graph = layer.graph
    known = weights_of(layer, 0, "forward")
    steps = {"x": x, "t": torch.arange(3.0).view(3, 1, 1).double(), **extra}
    leaves = {
        leaf: known[leaf.attribute].numpy()
        for leaf, _ in graph.leaf_shapes
        if leaf.attribute in known
    }

    sizes = Sizes(layer.sizes)

    def loss(update: Expression, unit: int, by: float) -> np.ndarray:
        """For each row, with one unit moved."""
        own, total = dict(zip(graph.states, (s[0].numpy() for s in states), strict=True)), 0.0
        for t in range(3):
            read = {leaf: steps[leaf.attribute][t].numpy() for leaf in graph.inputs}
            values = evaluate(graph, leaves | read | own, sizes)
            which = np.arange(values[update].shape[-1]) == unit
            move = {update: values[update] + which * by} if t == 0 else {}
            if update.args:
                values = evaluate(graph, leaves | read | own | move, sizes)
            own = {s: (values | move)[u] for s, u in zip(graph.states, graph.updates, strict=True)}
            total = total + (values[graph.output] * weight[t].numpy()).sum(1)
        return total

    for state, update in zip(graph.states, graph.updates, strict=True):
        if len(graph.shape(state)) == 2:
            assert f"rnn.0.forward.{state.attribute}" not in found
            continue
        own = found[f"rnn.0.forward.{state.attribute}"].values[0]
        for unit in range(own.shape[1]):
            slope = (loss(update, unit, 1e-5) - loss(update, unit, -1e-5)) / 2e-5
            np.testing.assert_allclose(own[:, unit], slope, rtol=1e-5, atol=1e-7)


class Sizes(NamedTuple):
    """What the evaluation reads of a sample."""

    sizes: Mapping[str, int]


def test_states_that_are_copies_of_one_another() -> None:
    """b is a of the step before, and c the same as the new a: what moves a moves c."""

    @cell(state="a, b, c")
    def copies(p, x, a, b, c):
        c = tanh(p.W_a @ x + p.U_a @ a + p.U_b @ b + p.U_c @ c)
        b = a
        a = c
        return a, b, c

    torch.manual_seed(2)
    layer = Recurrent(copies, 2, 3, dtype=torch.float64)
    x = torch.randn(3, 1, 2).double()
    found = gradients_through_time(layer, x, loss=lambda output: output[0][2].sum())
    u = {n: layer.weight(f"U_{n}").detach() for n in "abc"}
    h = layer(x)[0].detach()
    slope = 1 - h[2].square()
    torch.testing.assert_close(found["rnn.0.forward.c"].values[1], slope @ u["c"])
    torch.testing.assert_close(found["rnn.0.forward.b"].values[1], slope @ u["b"])
    torch.testing.assert_close(found["rnn.0.forward.a"].values[1], slope @ (u["a"] + u["c"]))


class Language(nn.Module):
    def __init__(self, batch_first: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 4)
        self.lstm = nn.LSTM(4, 6, batch_first=batch_first)
        self.head = nn.Linear(6, 11)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(tokens))[0])


@pytest.mark.parametrize("batch_first", [False, True])
def test_the_loss_of_a_model_of_items_is_the_surprisal_of_the_last(batch_first: bool) -> None:
    torch.manual_seed(3)
    model = Language(batch_first)
    tokens = torch.randint(11, (6, 2))

    def loss(output: Tensor) -> Tensor:
        output = output.transpose(0, 1) if batch_first else output
        return -sum(output[-2, row].log_softmax(-1)[tokens[-1, row]] for row in range(2))

    given = tokens.T if batch_first else tokens
    found = gradients_through_time(model, given, "c")
    expected = gradients_through_time(model, given, "c", loss)
    assert list(found) == ["lstm.0.forward.c"]
    own, other = found["lstm.0.forward.c"], expected["lstm.0.forward.c"]
    torch.testing.assert_close(own.values, other.values)
    assert own.norms[-1].tolist() == [0, 0]  # the last item is not read
    assert float(own.norms[0].min()) > 0


def test_the_loss_of_a_layer_is_half_the_square_of_its_last_output() -> None:
    layer = Recurrent("gru", 3, 4, dtype=torch.float64)
    x = torch.randn(5, 2, 3).double()
    output, _ = layer(x, lengths=[5, 2])
    found = gradients_through_time(layer, x, lengths=[5, 2])["rnn.0.forward.h"]
    torch.testing.assert_close(found.values[4, 0], output[4, 0])
    torch.testing.assert_close(found.values[1, 1], output[1, 1])
    assert found.norms[2:, 1].tolist() == [0, 0, 0]


def test_nothing_of_the_model_is_changed() -> None:
    model = Language().train()
    gradients_through_time(model, torch.randint(11, (6, 2)))
    assert model.training
    assert model.lstm.training
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("norms", "tenth", "tenfold", "factor", "verdict"),
    [
        ([0.5**k for k in range(10)], 4, None, 0.5, "vanishing"),
        ([2.0**k for k in range(10)], None, 4, 2.0, "exploding"),
        ([0.9**k for k in range(10)], None, None, 0.9, "kept"),
        ([1.0, 20.0, 0.01], 2, 1, 0.1, "exploding"),
        ([1.0, 0.1, 100.0], 1, 2, 10.0, "vanishing"),
        ([1.0, math.inf], None, 1, math.inf, "exploding"),
        ([3.0], None, None, math.nan, "kept"),
    ],
)
def test_verdicts(norms, tenth, tenfold, factor, verdict) -> None:
    """The list is from the last step backwards; after it, two steps that the loss does not see."""
    values = torch.tensor([0.0, 0.0, *norms])[:, None, None]
    for direction, own in (("forward", values.flip(0)), ("reverse", values)):
        own = own.flip(0) if direction == "reverse" else own
        own = own.flip(0) if direction == "reverse" else own
        found = gradient(f"rnn.0.{direction}.h", own, None)
        assert (found.tenth, found.tenfold, found.verdict) == (tenth, tenfold, verdict)
        assert found.factor == pytest.approx(factor, nan_ok=True)


def test_rows_are_counted_from_their_own_ends() -> None:
    values = torch.zeros(4, 2, 1)
    values[:, 0, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    values[:2, 1, 0] = torch.tensor([5.0, 6.0])
    found = gradient("rnn.0.forward.h", values, torch.tensor([4, 2]))
    expected = [((16 + 36) / 2) ** 0.5, ((9 + 25) / 2) ** 0.5, 2.0, 1.0]
    assert found.back.tolist() == pytest.approx(expected)


def test_mistakes_are_named() -> None:
    layer = nn.LSTM(3, 4)
    x = torch.randn(5, 2, 3)
    with pytest.raises(UnknownNameError, match="unknown state"):
        gradients_through_time(layer, x, "g")
    with pytest.raises(UsageError, match="must be one number"):
        gradients_through_time(layer, x, loss=lambda output: output[0])
    with pytest.raises(UsageError, match="does not depend on the model"):
        gradients_through_time(layer, x, loss=lambda output: output[0].detach().sum())

"""What torch's layers lack: each against a loop written by hand or the definition of its paper."""

from __future__ import annotations

import copy

import pytest
import torch

import recurra
from recurra import cells
from recurra.backends import choice
from recurra.backends.cpu import Cpu
from recurra.backends.reference import Reference
from recurra.errors import ShapeError, UsageError
from recurra.graph import cell, mean, tanh
from recurra.nn import dropout
from support.checks import features

T, B, I, H = 5, 3, 4, 6
SIZES = {"lstm_projection": {"P": 2}}


def layer_of(name, **options):
    torch.manual_seed(1)
    options.setdefault("sizes", SIZES.get(name))
    joined = features(name, I, -1) == -1  # x has as many features as there are units
    if joined and options.get("bidirectional"):
        options["num_layers"] = 1
    return recurra.Recurrent(name, I, I if joined else H, dtype=torch.float64, **options)


def parts(state):
    return (state,) if isinstance(state, torch.Tensor) else tuple(state)


def close(a, b):
    for one, other in zip(parts(a), parts(b), strict=True):
        torch.testing.assert_close(one, other)


@pytest.fixture
def x():
    torch.manual_seed(2)
    return torch.randn(T, B, I, dtype=torch.float64)


@pytest.mark.parametrize("name", cells.names())
@pytest.mark.parametrize("split", [1, 3])
def test_two_chunks_with_carried_state_equal_one_run(name, split, x):
    layer = layer_of(name, num_layers=2)
    whole, last = layer(x)
    first, state = layer(x[:split])
    second, state = layer(x[split:], state, start=split)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    close(state, last)


@pytest.mark.parametrize("name", cells.names())
def test_lengths_equal_each_row_run_alone(name, x):
    layer = layer_of(name, num_layers=2, bidirectional=True)
    lengths = torch.tensor([3, 0, 5])
    output, state = layer(x, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        assert (output[length:, row] == 0).all()
        if length:
            alone, last = layer(x[:length, row : row + 1])
            torch.testing.assert_close(output[:length, row : row + 1], alone)
            close(tuple(p[:, row : row + 1] for p in parts(state)), last)
        else:
            assert all((p[:, row] == 0).all() for p in parts(state))


@pytest.mark.parametrize("name", cells.names())
@pytest.mark.parametrize("bidirectional", [False, True])
def test_reset_equals_two_sequences(name, bidirectional, x):
    layer = layer_of(name, bidirectional=bidirectional)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2, 1] = True
    output, _ = layer(x, reset=reset)
    plain, _ = layer(x)
    torch.testing.assert_close(output[:, [0, 2]], plain[:, [0, 2]])
    before, _ = layer(x[:2, 1:2])
    after, _ = layer(x[2:, 1:2], start=2)
    both = torch.cat([before, after])
    # A reset leaves the time as it is, which the reverse direction counts from the end.
    width = layer.output_size if layer.graph.leaf("t") is not None else None
    torch.testing.assert_close(output[:, 1:2, :width], both[..., :width])


def test_reset_and_lengths_together(x):
    layer = layer_of("lstm", bidirectional=True)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2] = True
    reset[4] = True  # after the end of rows 0 and 1
    output, state = layer(x, lengths=torch.tensor([4, 2, 5]), reset=reset)
    torch.testing.assert_close(output[2:4, :1], layer(x[2:4, :1])[0])
    torch.testing.assert_close(output[:2, 1:2], layer(x[:2, 1:2])[0])
    close(tuple(p[:1, :1] for p in state), tuple(p[:1] for p in layer(x[2:4, :1])[1]))


def test_reset_drops_even_a_state_that_is_not_a_number(x):
    layer = layer_of("gru")
    reset = torch.ones(T, B, dtype=torch.bool)
    state = torch.full((1, B, H), float("nan"), dtype=torch.float64, requires_grad=True)
    output, _ = layer(x, state, reset=reset)
    assert output.isfinite().all()


def test_recurrent_dropout_is_one_mask_for_all_steps(x):
    layer = layer_of("elman", recurrent_dropout=0.5)
    torch.manual_seed(7)
    output, _ = layer(x)
    torch.manual_seed(7)
    mask = dropout.mask(x, 0.5, (B, H))
    h = torch.zeros(B, H, dtype=torch.float64)
    for t in range(T):
        h = torch.tanh(
            x[t] @ layer.weight("W_h").T + (h * mask) @ layer.weight("U_h").T + layer.weight("b_h")
        )
        torch.testing.assert_close(output[t], h)
    torch.testing.assert_close(layer.eval()(x)[0], layer_of("elman")(x)[0])


def test_recurrent_dropout_of_an_operand_as_large_as_the_input(x):
    def scaled(p, x, h):
        h = tanh(p.V_h @ (x * mean(h)) + p.W_h @ x + p.b_h)
        return h

    layer = layer_of(scaled, num_layers=2, recurrent_dropout=0.5)
    torch.manual_seed(7)
    output, _ = layer(x)
    torch.manual_seed(7)
    below = x
    for k in range(2):
        mask = dropout.mask(x, 0.5, (B, I if k == 0 else H))
        v, w, b = (layer.weight(name, k) for name in ("V_h", "W_h", "b_h"))
        h, rows = torch.zeros(B, H, dtype=torch.float64), []
        for t in range(T):
            operand = below[t] * h.mean(-1, keepdim=True) * mask
            h = torch.tanh(operand @ v.T + below[t] @ w.T + b)
            rows.append(h)
        below = torch.stack(rows)
    torch.testing.assert_close(output, below)


def test_input_dropout_is_one_mask_for_all_steps():
    layer = layer_of("elman", input_dropout=0.5, init={"W_h": "identity", "U_h": 0.0, "b_h": 0.0})
    ones = torch.ones(T, B, I, dtype=torch.float64)
    output = layer(ones)[0][..., :I]
    assert (output == output[0]).all()
    expected = torch.tensor([0.0, 2.0], dtype=torch.float64).tanh()
    torch.testing.assert_close(output.unique(), expected)


@pytest.mark.parametrize("training", [True, False])
def test_zoneout_against_its_paper(training, x):
    layer = layer_of("lstm", zoneout={"h": 0.3, "c": 0.6}).train(training)
    torch.manual_seed(11)
    output, (h_last, c_last) = layer(x)
    torch.manual_seed(11)
    shape = (T, B, H)
    keep = {
        name: dropout.drawn(x, rate, shape).to(x.dtype)
        if training
        else torch.full(shape, rate, dtype=torch.float64)
        for name, rate in (("h", 0.3), ("c", 0.6))
    }
    h = c = torch.zeros(B, H, dtype=torch.float64)
    gates = {
        g: lambda v, h, g=g: (
            v @ layer.weight(f"W_{g}").T + h @ layer.weight(f"U_{g}").T + layer.weight(f"b_{g}")
        )
        for g in "ifgo"
    }
    for t in range(T):
        i, f, o = (gates[g](x[t], h).sigmoid() for g in "ifo")
        new_c = f * c + i * gates["g"](x[t], h).tanh()
        new_h = o * new_c.tanh()  # from the new memory before zoneout, as in equation 5
        c = keep["c"][t] * c + (1 - keep["c"][t]) * new_c
        h = keep["h"][t] * h + (1 - keep["h"][t]) * new_h
        torch.testing.assert_close(output[t], h)
    torch.testing.assert_close(h_last[0], h)
    torch.testing.assert_close(c_last[0], c)


def test_zoneout_of_all_states_keeps_everything():
    layer = layer_of("mgu", zoneout=1.0)
    state = torch.randn(1, B, H, dtype=torch.float64)
    output, last = layer(torch.randn(T, B, I, dtype=torch.float64), state)
    torch.testing.assert_close(last, state)
    torch.testing.assert_close(output[0], state[0])


def test_residual_adds_the_input_where_sizes_agree(x):
    deep = layer_of("gru", num_layers=2, residual=True)
    first = recurra.Recurrent("gru", I, H, dtype=torch.float64)
    second = recurra.Recurrent("gru", H, H, dtype=torch.float64)
    weights = deep.state_dict()
    first.load_state_dict({k: v for k, v in weights.items() if k.endswith("l0")})
    second.load_state_dict({k.replace("l1", "l0"): v for k, v in weights.items() if "l1" in k})
    below = first(x)[0]
    torch.testing.assert_close(deep(x)[0], second(below)[0] + below)


def test_learned_initial_state_is_trained_and_used(x):
    layer = layer_of("lstm", num_layers=2, bidirectional=True, learn_initial_state=True)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name.startswith("initial_"):
                parameter.normal_()
    layer(x)[0].sum().backward()
    names = [n for n, _ in layer.named_parameters() if n.startswith("initial_")]
    assert len(names) == 8
    assert all(layer.get_parameter(n).grad.abs().sum() > 0 for n in names)
    close(layer(x)[1], layer(x, layer.initial_state(B))[1])
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[0] = True
    junk = tuple(torch.randn_like(p) for p in layer.initial_state(B))
    forward = layer_of("lstm", learn_initial_state=True)
    with torch.no_grad():
        forward.initial_h_l0.normal_()
    junk = tuple(p[:1] for p in junk)
    torch.testing.assert_close(forward(x, junk, reset=reset)[0], forward(x)[0])


def test_own_function_as_a_cell(x):
    def leaky(p, x, h):
        n = tanh(p.W_n @ x + p.U_n @ h + p.b_n)
        h = 0.9 * h + 0.1 * n
        return h

    layer = layer_of(leaky)
    output, h = layer(x)
    assert output.shape == (T, B, H)
    torch.testing.assert_close(output[-1], h[0])
    assert "leaky" in repr(layer)


def test_extra_sequence_and_time(x):
    @cell(state="h")
    def driven(p, x, y, t, h):
        h = tanh(p.W_h @ x + p.V_h @ y + p.U_h @ h + 0.1 * t)
        return h

    layer = layer_of(driven, sizes={"I_y": 2})
    y = torch.randn(T, B, 2, dtype=torch.float64)
    whole, _ = layer(x, inputs={"y": y})
    first, h = layer(x[:2], inputs={"y": y[:2]})
    second, _ = layer(x[2:], h, inputs={"y": y[2:]}, start=2)
    torch.testing.assert_close(torch.cat([first, second]), whole)
    assert not torch.allclose(layer(x[2:], h, inputs={"y": y[2:]})[0], second)
    with pytest.raises(UsageError, match=r"inputs\['y'\] is a list; give a tensor"):
        layer(x, inputs={"y": y.tolist()})
    batch_first = layer_of(driven, sizes={"I_y": 2}, batch_first=True)
    turned, _ = batch_first(x.transpose(0, 1), inputs={"y": y.transpose(0, 1)})
    torch.testing.assert_close(turned.transpose(0, 1), whole)
    alone, _ = layer(x[:, 0], inputs={"y": y[:, 0]})
    torch.testing.assert_close(alone, whole[:, 0])


@pytest.mark.parametrize("name", cells.names())
def test_deepcopy_and_state_dict(name, x):
    layer = layer_of(name, num_layers=2, learn_initial_state=True)
    twin = copy.deepcopy(layer)
    torch.testing.assert_close(twin(x)[0], layer(x)[0])
    other = layer_of(name, num_layers=2, learn_initial_state=True)
    other.load_state_dict(layer.state_dict())
    torch.testing.assert_close(other(x)[0], layer(x)[0])
    assert not any(
        torch.equal(p, q) and p is q
        for p, q in zip(layer.parameters(), twin.parameters(), strict=True)
    )


def test_empty_time_and_empty_batch():
    layer = layer_of("lstm")
    state = (torch.randn(1, B, H, dtype=torch.float64), torch.randn(1, B, H, dtype=torch.float64))
    output, last = layer(torch.zeros(0, B, I, dtype=torch.float64), state)
    assert output.shape == (0, B, H)
    close(last, state)
    output, (h, c) = layer(torch.zeros(T, 0, I, dtype=torch.float64))
    assert output.shape == (T, 0, H)
    assert h.shape == c.shape == (1, 0, H)


def test_autocast_runs_in_bfloat16():
    layer = recurra.LSTM(I, H)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = layer(torch.randn(T, B, I))
    torch.testing.assert_close(
        output.float(), layer(torch.randn(T, B, I))[0].float(), atol=2.0, rtol=0
    )
    assert output.isfinite().all()


@pytest.mark.parametrize("backend", [Cpu(least=0), Reference()], ids=["cpu", "reference"])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True}, {"residual": True}], ids=str)
def test_padding_may_hold_anything(backend, options, monkeypatch):
    """NaN after the end of a row reaches no output, no state and no gradient."""
    monkeypatch.setattr(choice, "BACKENDS", (backend,))
    layer = recurra.Recurrent("lstm", I, I, 2, dtype=torch.float64, **options)
    lengths = [5, 0, 2]
    x = torch.randn(5, 3, I, dtype=torch.float64)
    spoilt = x.clone()
    for row, length in enumerate(lengths):
        x[length:, row], spoilt[length:, row] = 0.0, float("nan")

    def everything(x):
        x = x.clone().requires_grad_()
        output, state = layer(x, lengths=lengths)
        total = sum(part.square().sum() for part in (output, *state))
        return output, *state, *torch.autograd.grad(total, [x, *layer.parameters()])

    for found, expected in zip(everything(spoilt), everything(x), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("lengths", [None, [1, 5, 2]], ids=["whole", "ragged"])
def test_training_after_inference_mode(lengths, monkeypatch):
    """What a call in inference mode leaves behind is no hindrance."""
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=0),))
    layer, x = recurra.LSTM(I, H), torch.randn(5, 3, I)
    with torch.inference_mode():
        expected = layer(x, lengths=lengths)[0]
    output = layer(x.requires_grad_(), lengths=lengths)[0]
    assert torch.equal(output, expected)
    output.square().sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("lengths", [None, [5] * 40], ids=["whole", "ragged"])
def test_autocast_computes_products_of_inputs_in_its_format(lengths, monkeypatch):
    """In bfloat16 they differ from float32 in the third digit."""
    layer, x = recurra.LSTM(I, 64), torch.randn(5, 40, I, requires_grad=True)
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=0),))
    exact = layer(x)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(x, lengths=lengths)[0]
    assert 1e-4 < (found - exact).abs().max() < 0.05
    expected = torch.autograd.grad(exact.square().sum(), x)[0]
    gradient = torch.autograd.grad(found.square().sum(), x)[0]
    torch.testing.assert_close(gradient, expected, rtol=0, atol=0.05)


def test_double_backward_through_a_bidirectional_stack():
    layer = layer_of("gru", num_layers=2, bidirectional=True)
    x = torch.randn(3, 2, I, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda v: layer(v)[0], (x,))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ({"lengths": "abc"}, "lengths is 'abc'; it needs one whole number for each of the 3 rows"),
        ({"lengths": [1, None, 2]}, r"lengths is \[1, None, 2\]; it needs one whole number"),
        ({"reset": [[True]]}, r"reset is a list; it needs a tensor \(T, B\) of truths"),
    ],
)
def test_what_is_no_tensor_is_refused(call, said, x):
    with pytest.raises(ShapeError, match=said):
        layer_of("gru")(x, **call)


@pytest.mark.parametrize(
    "x", [None, [[0.0]], torch.zeros(3, 2, 4).numpy()], ids=["none", "list", "array"]
)
def test_an_x_that_is_no_tensor_is_refused(x):
    with pytest.raises(ShapeError, match=r"x is a .*reads a tensor \(T, B, I\)"):
        recurra.GRU(4, 5)(x)
    with pytest.raises(ShapeError, match=r"x is a .*a step needs a tensor \(2, 4\)"):
        recurra.GRU(4, 5).stream(2).step(x)


@pytest.mark.parametrize("state", [3, (None, None), [0.5, 0.5]], ids=str)
def test_a_state_that_is_no_tensor_is_refused(state):
    layer = recurra.LSTM(4, 5)
    with pytest.raises(ShapeError, match=r"the state has a .* tensor for each of h, c"):
        layer(torch.zeros(3, 2, 4), state)
    with pytest.raises(ShapeError, match=r"the state has a .* tensor for each of h, c"):
        layer.stream(2).state = state


def test_shapes_on_the_meta_device():
    layer = recurra.LSTM(4, 5, bidirectional=True, device="meta")
    output, (h, c) = layer(torch.zeros(3, 2, 4, device="meta"))
    assert (output.shape, h.shape, c.shape) == ((3, 2, 10), (2, 2, 5), (2, 2, 5))


@pytest.mark.parametrize("size", [(-1, 2), (3, 0), (1.5, 2), ("a", 2)], ids=str)
def test_explain_refuses_what_is_no_size(size):
    with pytest.raises(UsageError, match=r"(steps|rows)=.*; it must be a whole number from 1"):
        recurra.GRU(4, 5).explain(*size)


@pytest.mark.parametrize("inputs", [[1], 3, "m"], ids=str)
def test_inputs_without_names_are_refused(inputs):
    with pytest.raises(UsageError, match="give tensors by name"):
        layer_of("gru")(torch.zeros(T, B, I, dtype=torch.float64), inputs=inputs)


@pytest.mark.parametrize("rows", [1, 0.5, [None], ["a"]], ids=str)
def test_rows_of_a_stream_that_are_none_are_refused(rows):
    with pytest.raises(ShapeError, match=r"rows is .*; give numbers from 0 to 1"):
        recurra.GRU(4, 5).stream(2).reset(rows)

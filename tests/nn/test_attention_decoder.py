"""Decoders that look at a memory: against plain loops from the papers, whole and by step."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from recurra import cells
from recurra.errors import ShapeError, UsageError
from recurra.graph import tanh
from recurra.nn import AttentionDecoder, InputFeedingDecoder, Recurrent, select
from recurra.nn.attention import Additive, LocationAware
from support.checks import close
from support.samples import SIZES

T, S, B, I, H, M = 4, 5, 3, 2, 3, 3
LENGTHS, MEMORY_LENGTHS = (4, 0, 2), (5, 3, 0)
ORDERS = pytest.mark.parametrize("order", [AttentionDecoder, InputFeedingDecoder])


def decoder_of(order, cell="gru", attention="additive", **options):
    torch.manual_seed(0)
    letters = {x for _, shape in cells.get(cell).graph.leaf_shapes for x in shape} - {"I", "H"}
    sizes = {letter: SIZES[letter] for letter in letters}
    made = order(cell, I, H, M, attention=attention, sizes=sizes, dtype=torch.float64, **options)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    return made


def given(seed=0):
    source = torch.Generator().manual_seed(seed)
    x = torch.randn(T, B, I, generator=source, dtype=torch.float64)
    return x, torch.randn(S, B, M, generator=source, dtype=torch.float64)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def gru(weight, x, h):
    """One row of a GRU with its reset after the product, as torch.nn.GRU documents it."""
    r = sigmoid(weight["W_r"] @ x + weight["U_r"] @ h + weight["b_r"])
    z = sigmoid(weight["W_z"] @ x + weight["U_z"] @ h + weight["b_z"])
    n = np.tanh(weight["W_n"] @ x + weight["b_n"] + r * (weight["U_n"] @ h + weight["c_n"]))
    return (1 - z) * n + z * h


def look(part, query, memory):
    """Bahdanau's context and weights for one row."""
    e = [
        part["v.weight"][0] @ np.tanh(part["W.weight"] @ query + part["U.weight"] @ m)
        for m in memory
    ]
    weights = np.exp(e) / np.exp(e).sum() if len(memory) else np.zeros(0)
    return sum((a * m for a, m in zip(weights, memory, strict=True)), np.zeros(M)), weights


def naive(decoder, x, memory, lengths, memory_lengths):
    """Outputs and weights of one GRU layer with additive attention, row by row, step by step."""
    layer = decoder.layer
    weight = {n: layer.weight(n).detach().numpy() for n in layer.weight_names}
    part = {n: p.detach().numpy() for n, p in decoder.attention.named_parameters()}
    outputs, weights = np.zeros((T, B, decoder.output_size)), np.zeros((T, B, S))
    for row in range(B):
        seen = memory[: memory_lengths[row], row]
        h, fed = np.zeros(H), np.zeros(H)
        for t in range(lengths[row]):
            if isinstance(decoder, AttentionDecoder):
                context, a = look(part, h, seen)
                h = gru(weight, np.concatenate([x[t, row], context]), h)
                out = np.concatenate([context, h])
            else:
                h = gru(weight, np.concatenate([x[t, row], fed]), h)
                context, a = look(part, h, seen)
                combined = decoder.combine[0].weight.detach().numpy()
                out = fed = np.tanh(combined @ np.concatenate([context, h]))
            outputs[t, row] = out
            weights[t, row, : len(a)] = a
    return outputs, weights


@ORDERS
@pytest.mark.parametrize(
    ("lengths", "memory_lengths"), [(None, None), (LENGTHS, None), (LENGTHS, MEMORY_LENGTHS)]
)
def test_the_equations(order, lengths, memory_lengths):
    decoder = decoder_of(order)
    x, memory = given()
    output, _, weights = decoder(x, memory, lengths=lengths, memory_lengths=memory_lengths)
    full = ((T,) * B, (S,) * B)
    expected = naive(
        decoder, x.numpy(), memory.numpy(), lengths or full[0], memory_lengths or full[1]
    )
    close(output.detach(), expected[0])
    close(weights.detach(), expected[1])


@ORDERS
@pytest.mark.parametrize("attention", ["additive", "dot", "general", "location"])
def test_gradients(order, attention):
    form = LocationAware(H, M, 2, filters=2, width=3) if attention == "location" else attention
    decoder = decoder_of(order, "lstm", form)
    names = [name for name, _ in decoder.named_parameters()]
    x, memory = given()
    values = (x[:2], memory, *(p.detach().clone() for p in decoder.parameters()))

    def run(x, memory, *weights):
        options = {"lengths": [2, 1, 2], "memory_lengths": MEMORY_LENGTHS}
        output, state, seen = torch.func.functional_call(
            decoder, dict(zip(names, weights, strict=True)), (x, memory), options
        )
        return (output, *state, seen)

    assert gradcheck(run, tuple(value.requires_grad_() for value in values))


@ORDERS
@pytest.mark.parametrize("cell", cells.names())
def test_every_cell_whole_in_chunks_and_step_by_step(order, cell):
    graph = cells.get(cell).graph
    if graph.shape(graph.leaf("x")) != ("I",):
        with pytest.raises(UsageError, match="joins x with its units"):
            decoder_of(order, cell)
        return
    decoder = decoder_of(order, cell, "location", num_layers=2)
    x, memory = given()
    output, state, weights = decoder(x, memory, memory_lengths=MEMORY_LENGTHS)
    ready = decoder.prepare(memory, MEMORY_LENGTHS)

    first, carried, seen = decoder(x[:1], ready)
    second, after, seen_later = decoder(x[1:], ready, carried, start=1)
    close(torch.cat([first, second]), output)
    close(torch.cat([seen, seen_later]), weights)

    one: object = None
    for t in range(T):
        now, one, seen = decoder.step(x[t], ready, one, t=t)
        close(now, output[t])
        close(seen, weights[t])
    for ours, chunked, whole in zip(one, after, state, strict=True):
        close(ours, whole)
        close(chunked, whole)


@ORDERS
@pytest.mark.parametrize("cell", ["lstm", "lstm_depth_gated", "clockwork"])
def test_a_memory_of_zeros_leaves_the_cell_alone(order, cell):
    """With nothing to see, the cell does what the same layer does whose further inputs are 0."""
    decoder = decoder_of(order, cell, num_layers=2)
    if order is InputFeedingDecoder:
        torch.nn.init.zeros_(decoder.combine[0].weight)
    x, memory = given()
    output, state, _ = decoder(x, memory * 0)
    padded = torch.cat([x, x.new_zeros(T, B, decoder.layer.input_size - I)], -1)
    expected, last = decoder.layer(padded)
    for ours, theirs in zip(state, last if isinstance(last, tuple) else (last,), strict=False):
        close(ours, theirs)
    if order is AttentionDecoder:
        close(output[..., M:], expected)


@ORDERS
def test_a_row_with_lengths_gives_what_it_gives_alone(order):
    decoder = decoder_of(order, "lstm", "location")
    x, memory = given()
    spoilt = x.clone()
    for row, length in enumerate(LENGTHS):
        spoilt[length:, row] = float("nan")
    output, state, weights = decoder(spoilt, memory, lengths=LENGTHS, memory_lengths=MEMORY_LENGTHS)
    for row, (length, vectors) in enumerate(zip(LENGTHS, MEMORY_LENGTHS, strict=True)):
        alone, last, seen = decoder(x[:length, [row]], memory[:, [row]], memory_lengths=[vectors])
        close(output[:length, [row]], alone)
        close(weights[:length, [row]], seen)
        assert not output[length:, row].any()
        assert not weights[length:, row].any()
        for ours, theirs in zip(state, last, strict=True):
            close(ours[:, [row]], theirs)


@ORDERS
def test_the_states_of_an_encoder_are_a_start(order):
    decoder = decoder_of(order, "lstm", num_layers=2)
    encoder = Recurrent("lstm", I, H, num_layers=2, dtype=torch.float64)
    x, memory = given()
    _, (h, c) = encoder(x)
    _, full, _ = decoder.step(x[0], decoder.prepare(memory), (h, c))
    assert [part.shape[1] for part in full] == [B] * len(full)
    rest = tuple(torch.zeros_like(part) for part in full[2:])
    ready = decoder.prepare(memory)
    close(decoder(x, ready, (h, c))[0], decoder(x, ready, (h, c, *rest))[0])


@ORDERS
def test_rows_of_the_state_and_the_memory(order):
    decoder = decoder_of(order, "lstm", "location")
    x, memory = given()
    ready = decoder.prepare(memory, MEMORY_LENGTHS)
    _, state, _ = decoder(x, ready)
    expected, _, _ = decoder.step(x[0], ready, state)
    rows = torch.tensor([2, 0, 0])
    found, _, _ = decoder.step(x[0][rows], ready.select(rows), select(state, rows))
    close(found, expected[rows])


@ORDERS
def test_batch_first(order):
    x, memory = given()
    output, state, weights = decoder_of(order)(x, memory, memory_lengths=MEMORY_LENGTHS)
    turned = decoder_of(order, batch_first=True)
    found, last, seen = turned(
        x.transpose(0, 1), memory.transpose(0, 1), memory_lengths=MEMORY_LENGTHS
    )
    close(found.transpose(0, 1), output)
    close(seen.transpose(0, 1), weights)
    for ours, theirs in zip(last, state, strict=True):
        close(ours, theirs)


@ORDERS
def test_no_step(order):
    decoder = decoder_of(order, "lstm", batch_first=True)
    x, memory = given()
    output, state, weights = decoder(x[:0].transpose(0, 1), memory.transpose(0, 1))
    assert output.shape == (B, 0, decoder.output_size)
    assert weights.shape == (B, 0, S)
    assert not state[0].any()


def test_dropout_between_layers_acts_in_training_only():
    decoder = decoder_of(AttentionDecoder, num_layers=2, dropout=0.5)
    x, memory = given()
    assert not torch.equal(decoder(x, memory)[0], decoder(x, memory)[0])
    decoder.eval()
    assert torch.equal(decoder(x, memory)[0], decoder(x, memory)[0])


def test_a_learned_start_and_an_attention_of_ones_own():
    own = Additive(H, M, 7)
    decoder = decoder_of(AttentionDecoder, attention=own, learn_initial_state=True)
    assert decoder.attention is own
    x, memory = given()
    decoder(x, memory)[0].sum().backward()
    assert decoder.layer.initial_h_l0.grad.any()


def test_the_size_of_the_attention():
    assert AttentionDecoder("gru", I, H, M).attention.v.weight.shape == (1, H)
    assert AttentionDecoder("gru", I, H, M, attention_size=7).attention.v.weight.shape == (1, 7)
    for name in ("input_size", "memory_size"):
        sizes = {"input_size": 3, "hidden_size": 4, "memory_size": 5, name: -3}
        with pytest.raises(UsageError, match=f"{name}=-3; it must be a whole number from 1"):
            AttentionDecoder("gru", **sizes)
    with pytest.raises(UsageError, match="attention_size=0"):
        AttentionDecoder("gru", I, H, M, attention_size=0)


def test_float32_and_explanation():
    decoder = AttentionDecoder("lstm", I, H, M)
    x, memory = given()
    output, _, _ = decoder(x.float(), memory.float())
    assert output.dtype == torch.float32
    assert "each runs on its own" in decoder.explain()
    with pytest.raises(UsageError, match=r"x is torch\.float64"):
        decoder(x, memory.float())


def clock(p, x, h, t):
    h = tanh(p.W_h @ x + p.U_h @ h + 0.1 * t)
    return h


def test_a_cell_that_reads_the_time():
    decoder = decoder_of(AttentionDecoder, clock)
    x, memory = given()
    _, (h, _), _ = decoder(x, memory * 0, start=7)
    padded = torch.cat([x, x.new_zeros(T, B, M)], -1)
    close(h, decoder.layer(padded, start=7)[1])
    one: object = None
    for t in range(T):
        _, one, _ = decoder.step(x[t], decoder.prepare(memory * 0), one, t=7 + t)
    close(one[0], h)


def two_inputs(p, x, y, h):
    h = tanh(p.W_h @ x + p.V_h @ y + p.U_h @ h)
    return h


def test_a_cell_with_two_inputs_is_refused():
    from recurra.graph import cell

    refused = cell(state="h")(two_inputs)
    with pytest.raises(UsageError, match=r"also reads y; .* gives its cell one input"):
        AttentionDecoder(refused, I, H, M, sizes={"I_y": 2})


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ("a decoder reads (T, B, I)", lambda d, x, m: d(x[0], m)),
        ("x has 3 features a step", lambda d, x, m: d(torch.cat([x, x[..., :1]], -1), m)),
        ("a step reads (B, I) with I = 2", lambda d, x, m: d.step(x, d.prepare(m))),
        ("x has 2 rows and the memory 3", lambda d, x, m: d(x[:, :2], m)),
        ("leave out memory_lengths", lambda d, x, m: d(x, d.prepare(m), memory_lengths=[1, 2, 3])),
        ("state h has the shape (2, 3, 3)", lambda d, x, m: d(x, m, x.new_zeros(2, B, H))),
        (
            "parts of the shapes (1, 3, 4); they need (1, 3, 5)",
            lambda d, x, m: d(x, m, (x.new_zeros(1, B, H), x.new_zeros(1, B, 4))),
        ),
    ],
)
def test_wrong_shapes(words, run):
    with pytest.raises(ShapeError, match=re.escape(words)):
        run(decoder_of(AttentionDecoder), *given())


@ORDERS
def test_it_learns_to_copy_the_memory(order):
    """Reading vectors in order needs the weights to move on."""
    torch.manual_seed(0)
    decoder = order("gru", 1, 16, 4, attention=LocationAware(16, 4, 16, width=5))
    head = torch.nn.Linear(decoder.output_size, 4)
    parameters = [*decoder.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=0.01)
    losses = []
    for _ in range(120):
        memory = torch.randn(4, 16, 4)
        output, _, _ = decoder(torch.zeros(4, 16, 1), memory)
        loss = torch.nn.functional.mse_loss(head(output), memory)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) / 10 < 0.3 * losses[0]


@ORDERS
def test_a_step_over_a_memory_that_is_not_prepared_says_what_to_do(order):
    decoder, (x, memory) = decoder_of(order), given()
    with pytest.raises(UsageError, match=r"layer\.prepare\(tensor\)"):
        decoder.step(x[0], memory)
    query = torch.zeros(B, H, dtype=torch.float64)
    with pytest.raises(UsageError, match=r"layer\.prepare\(tensor\)"):
        decoder.attention(query, memory)


@ORDERS
def test_no_attention_is_an_unknown_one(order):
    with pytest.raises(UsageError, match=r"unknown attention 'None'\. Known: additive"):
        order("gru", I, H, M, attention=None)

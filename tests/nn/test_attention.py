"""Attention against its papers' equations in a plain loop, torch's own product, and numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from recurra.errors import ShapeError, UnknownNameError, UsageError
from recurra.nn.attention import Additive, Attention, Dot, General, LocationAware
from recurra.nn.attention.forms import attention_of
from support.checks import close

S, B, M, Q, A = 5, 3, 4, 4, 2
LENGTHS = (5, 2, 0)


def made(form: str) -> Attention:
    torch.manual_seed(1)
    forms = {
        "additive": lambda: Additive(Q, M, A),
        "dot": lambda: Dot(Q, M),
        "general": lambda: General(Q, M),
        "location": lambda: LocationAware(Q, M, A, filters=3, width=3),
    }
    return forms[form]().double()


def given(seed=0):
    source = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(*shape, generator=source, dtype=torch.float64)

    return drawn(B, Q), drawn(S, B, M), drawn(B, S).softmax(-1)


def score(form, weight, query, vector, before, place):
    """One number from the paper's equation."""
    if form == "dot":  # Luong et al., equation 8
        return query @ vector
    if form == "general":
        return query @ weight["W.weight"] @ vector
    if form == "additive":  # Bahdanau et al., appendix A.1.2
        inside = weight["W.weight"] @ query + weight["U.weight"] @ vector
        return weight["v.weight"][0] @ np.tanh(inside)
    filters = weight["F.weight"][:, 0]  # Chorowski et al., equations 8 and 9
    width = filters.shape[1]
    seen = np.zeros(len(filters))
    for k in range(width):
        source = place + k - width // 2
        if 0 <= source < len(before):
            seen += filters[:, k] * before[source]
    inside = weight["W.weight"] @ query + weight["V.weight"] @ vector
    inside = inside + weight["U.weight"] @ seen + weight["V.bias"]
    return weight["w.weight"][0] @ np.tanh(inside)


def naive(form, attention, query, memory, before, lengths):
    """Contexts and weights, row by row and vector by vector."""
    weight = {name: p.detach().numpy() for name, p in attention.named_parameters()}
    contexts, weights = np.zeros((B, M)), np.zeros((B, S))
    for row, length in enumerate(lengths):
        values = [
            np.exp(score(form, weight, query[row], memory[s, row], before[row], s))
            for s in range(length)
        ]
        for s in range(length):
            weights[row, s] = values[s] / sum(values)
            contexts[row] += weights[row, s] * memory[s, row]
    return contexts, weights


FORMS = pytest.mark.parametrize("form", ["additive", "dot", "general", "location"])


@FORMS
@pytest.mark.parametrize("lengths", [LENGTHS, None])
def test_the_equations(form, lengths):
    attention = made(form)
    query, memory, before = given()
    ready = attention.prepare(memory, lengths)
    context, weights = attention(query, ready, before)
    arrays = (query.numpy(), memory.numpy(), before.numpy())
    expected, expected_weights = naive(form, attention, *arrays, lengths or (S,) * B)
    close(context.detach(), expected)
    close(weights.detach(), expected_weights)


@pytest.mark.parametrize("lengths", [LENGTHS[:2], None])
def test_the_dot_form_is_the_product_of_torch(lengths):
    rows = B if lengths is None else 2
    query, memory, _ = given()
    query, memory = query[:rows], memory[:, :rows]
    values = memory.transpose(0, 1)
    mask = None if lengths is None else torch.arange(S) < torch.tensor(lengths).unsqueeze(1)
    expected = torch.nn.functional.scaled_dot_product_attention(
        query.unsqueeze(1),
        values,
        values,
        attn_mask=None if mask is None else mask.unsqueeze(1),
        scale=1.0,
    )
    attention = made("dot")
    context, _ = attention(query, attention.prepare(memory, lengths))
    close(context, expected.squeeze(1))


@FORMS
def test_gradients(form):
    attention = made(form)
    names = [name for name, _ in attention.named_parameters()]
    values = (*given(), *(p.detach().clone() for p in attention.parameters()))
    leaves = [value.requires_grad_() for value in values]

    def run(query, memory, before, *weights):
        values = dict(zip(names, weights, strict=True))
        return torch.func.functional_call(
            _Whole(attention), _below(values), (query, memory, before)
        )

    assert gradcheck(run, leaves)
    assert gradgradcheck(run, leaves)


class _Whole(torch.nn.Module):
    def __init__(self, attention):
        super().__init__()
        self.inside = attention

    def forward(self, query, memory, before):
        return self.inside(query, self.inside.prepare(memory, LENGTHS), before)


def _below(values):
    return {f"inside.{name}": value for name, value in values.items()}


@FORMS
def test_what_stands_in_the_padding_does_not_matter(form):
    attention = made(form)
    query, memory, before = given()
    expected = attention(query, attention.prepare(memory, LENGTHS), before)
    spoilt = memory.clone()
    for row, length in enumerate(LENGTHS):
        spoilt[length:, row] = float("nan")
    spoilt.requires_grad_()
    found = attention(query, attention.prepare(spoilt, LENGTHS), before)
    for ours, theirs in zip(found, expected, strict=True):
        close(ours.detach(), theirs.detach())
    found[0].sum().backward()
    assert torch.isfinite(spoilt.grad).all()


@FORMS
def test_a_row_without_vectors_gives_zeros_and_finite_gradients(form):
    attention = made(form)
    query, memory, before = given()
    query.requires_grad_()
    context, weights = attention(query, attention.prepare(memory, LENGTHS), before)
    assert not context[2].any()
    assert not weights[2].any()
    (context.sum() + weights.square().sum()).backward()
    assert torch.isfinite(query.grad).all()
    assert not query.grad[2].any()
    for parameter in attention.parameters():
        assert torch.isfinite(parameter.grad).all()


@FORMS
def test_large_scores_stay_finite(form):
    attention = made(form).float()
    query, memory, before = (value.float() for value in given())
    ready = attention.prepare(memory * 1e4, LENGTHS)
    context, weights = attention(query * 1e4, ready, before)
    assert torch.isfinite(context).all()
    close(weights.detach().sum(-1), torch.tensor([1.0, 1, 0]), 1e-6)


@FORMS
def test_keys_are_made_once(form):
    attention = made(form)
    query, memory, _ = given()
    calls = []
    keys = attention.keys
    attention.keys = lambda values: calls.append(1) or keys(values)
    ready = attention.prepare(memory)
    for _ in range(3):
        attention(query, ready)
    assert len(calls) == 1


def test_before_the_first_step_all_weight_is_on_the_first_vector():
    attention = made("location")
    query, memory, _ = given()
    ready = attention.prepare(memory, LENGTHS)
    start = attention.start(ready)
    assert start.tolist() == [[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    for ours, theirs in zip(attention(query, ready), attention(query, ready, start), strict=True):
        assert torch.equal(ours, theirs)


def test_only_the_location_aware_form_reads_the_weights_before():
    query, memory, before = given()
    for form in ("additive", "dot", "general", "location"):
        attention = made(form)
        ready = attention.prepare(memory)
        same = torch.equal(attention(query, ready)[1], attention(query, ready, before)[1])
        assert same == (form != "location")


def test_rows_of_a_memory():
    attention = made("additive")
    query, memory, before = given()
    rows = torch.tensor([1, 1, 0, 2])
    ready = attention.prepare(memory, LENGTHS)
    context, weights = attention(query, ready, before)
    some = attention(query[rows], ready.select(rows), before[rows])
    close(some[0], context[rows])
    close(some[1], weights[rows])
    assert attention.prepare(memory).select(rows).alive is None


@FORMS
def test_a_memory_without_steps(form):
    attention = made(form)
    query, memory, before = given()
    context, weights = attention(query, attention.prepare(memory[:0]), before[:, :0])
    assert weights.shape == (B, 0)
    assert torch.equal(context, torch.zeros(B, M, dtype=torch.float64))


@pytest.mark.parametrize(
    ("words", "run"),
    [
        (
            "the memory has the shape (5, 3, 3); it needs (S, B, M) with M = 4",
            lambda a, q, m, w: a.prepare(m[..., :3]),
        ),
        ("the memory has the shape (3, 4)", lambda a, q, m, w: a.prepare(m[0])),
        ("lengths go from 1 to 6", lambda a, q, m, w: a.prepare(m, [1, 2, 6])),
        ("one whole number for each of the 3 rows", lambda a, q, m, w: a.prepare(m, [1, 2])),
        (
            "the query has the shape (2, 4); (B, Q) is (3, 4) here.",
            lambda a, q, m, w: a(q[:2], a.prepare(m)),
        ),
        (
            "the weights before have the shape (3, 4); (B, S) is (3, 5) here.",
            lambda a, q, m, w: a(q, a.prepare(m), w[:, 1:]),
        ),
    ],
)
def test_wrong_shapes(words, run):
    with pytest.raises(ShapeError, match=re.escape(words)):
        run(made("additive"), *given())


def test_wrong_options():
    with pytest.raises(UsageError, match='not of 3 and 4; take "general"'):
        Dot(3, 4)
    with pytest.raises(UsageError, match=r"width=4; .* odd"):
        LocationAware(3, 4, 5, width=4)
    with pytest.raises(UsageError, match="attention_size=0"):
        Additive(3, 4, 0)
    with pytest.raises(UsageError, match="memory_size=0; it must be a whole number"):
        General(3, 0)
    with pytest.raises(UnknownNameError, match=r"unknown attention 'aditive'\. Did you mean"):
        attention_of("aditive", 3, 4, 5)
    with pytest.raises(UsageError, match=r"queries of 4 features .* this decoder has 3 and 4"):
        attention_of(Dot(4, 4), 3, 4, 5)


def test_parameter_counts():
    """W (A, Q), U (A, M), v (A,); the location-aware form adds b (A,), U (A, k) and F (k, r)."""

    def count(attention):
        return sum(p.numel() for p in attention.parameters())

    assert count(Additive(7, 5, 3)) == 3 * 7 + 3 * 5 + 3
    assert count(Dot(5, 5)) == 0
    assert count(General(7, 5)) == 7 * 5
    assert count(LocationAware(7, 5, 3)) == 3 * 7 + 3 * 5 + 3 + 3 + 3 * 10 + 10 * 201

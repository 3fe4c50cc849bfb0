"""Matrices and scalars that change in each step: values, gradients, options, the backend taken."""

from __future__ import annotations

import pytest
import torch

from recurra import Recurrent, cells
from recurra.backends import choose
from recurra.graph import Cell, cell, latex, mean, outer, sigmoid, sum, tanh, text, transpose, where
from recurra.graph.simplify import simplify
from support.checks import check_backward, check_gradients, check_lengths, check_value, close


@cell(state="F, h", output="h", shapes={"F": "H P", "b_f": ""})
def fast_weights(p, x, F, h):
    k = tanh(p.W_k @ x)
    v = tanh(p.W_v @ x + p.U_v @ h)
    f = sigmoid(sum(p.w_f * x) + p.b_f)
    F = f * F + (1 - f) * outer(v, k)
    h = tanh(F @ k + 0.5 * h)
    return F, h


@cell(state="h, m", shapes={"m": "", "alpha": ""})
def scaled(p, x, h, m):
    m = 0.5 * m + mean(h)
    h = tanh((p.alpha * p.U_h * m) @ h + (m - p.V_h) @ h + p.W_h @ x)
    return h, m


@cell(state="M, h", output="h", shapes={"M": "H H"})
def mixed(p, x, M, h):
    s = transpose(M) + outer(h, h) - p.U_s
    M = where(mean(h) > 0, s, -s) / 2
    h = tanh(M @ h + transpose(s) @ (p.W_h @ x))
    return M, h


@cell(state="h, M", shapes={"M": "H P"})
def constant_memory(p, x, h, M):
    h = tanh(p.W_h @ x + 0.5 * h + M @ (p.V_h @ x))
    M = 2 * p.R_h
    return h, M


@cell(state="h, m", shapes={"m": ""})
def constant_scalar(p, x, h, m):
    h = tanh(p.W_h @ x + p.U_h @ h) * m
    m = 0 * m + 3
    return h, m


OWN = (fast_weights, scaled, mixed, constant_memory, constant_scalar)
own = pytest.mark.parametrize("cell", OWN, ids=lambda cell: cell.name)
CPU = torch.device("cpu")


@own
def test_values_and_gradients(cell: Cell) -> None:
    check_value(cell.graph)
    check_value(simplify(cell.graph))
    check_backward(cell.graph)
    check_gradients(cell)
    check_lengths(cell)


def test_fast_weights_against_a_loop() -> None:
    """Each step with torch's own products."""
    torch.manual_seed(0)
    layer = Recurrent(fast_weights, 2, 3, sizes={"P": 4}, dtype=torch.float64)
    x = torch.randn(5, 2, 2, dtype=torch.float64)
    F, h = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 3, dtype=torch.float64)
    output, (F_after, h_after) = layer(x, (F[None], h[None]))
    w = {name: layer.weight(name) for name in layer.weight_names}
    for now, shown in zip(x, output, strict=True):
        k, v = (now @ w["W_k"].T).tanh(), (now @ w["W_v"].T + h @ w["U_v"].T).tanh()
        f = (now @ w["w_f"] + w["b_f"]).sigmoid()[:, None, None]
        F = f * F + (1 - f) * torch.einsum("br,bc->brc", v, k)
        h = (torch.einsum("brc,bc->br", F, k) + 0.5 * h).tanh()
        close(shown, h)
    close(F_after[0], F)
    close(h_after[0], h)


def test_the_matrix_memory_is_attention_over_what_was_written() -> None:
    """The recurrence of mLSTM against its parallel form in the paper's appendix, from zero."""
    torch.manual_seed(0)
    steps, rows, width = 6, 2, 4
    layer = Recurrent("mlstm", 3, width, dtype=torch.float64)
    for name in layer.weight_names:
        layer.set_weight(name, torch.randn_like(layer.weight(name)))
    w = {name: layer.weight(name) for name in layer.weight_names}
    x = torch.randn(steps, rows, 3, dtype=torch.float64)
    q, v = (x @ w[f"W_{a}"].T + w[f"b_{a}"] for a in "qv")
    k = x @ w["W_k"].T / width**0.5 + w["b_k"]
    f = torch.nn.functional.logsigmoid(x @ w["w_f"] + w["b_f"]).cumsum(0)
    i = x @ w["w_i"] + w["b_i"]
    decay = (f[:, None] - f[None] + i[None]).exp() * torch.ones(steps, steps).tril()[..., None]
    scores = torch.einsum("tbp,sbp->tsb", q, k) * decay
    divisor = scores.sum(1).abs().clamp(min=1)
    o = (x @ w["W_o"].T + w["b_o"]).sigmoid()
    expected = o * torch.einsum("tsb,sbh->tbh", scores, v) / divisor[..., None]
    close(layer(x)[0], expected)


@pytest.mark.parametrize(
    "options",
    [
        {"bidirectional": True, "num_layers": 2},
        {"learn_initial_state": True},
        {"recurrent_dropout": 0.5},
        {"zoneout": 0.5},
    ],
    ids=str,
)
def test_options(options: dict[str, object]) -> None:
    layer = Recurrent(fast_weights, 3, 3, sizes={"P": 2}, **options)
    x = torch.randn(4, 5, 3)
    reset = torch.zeros(4, 5, dtype=torch.bool)
    reset[2, 1] = True
    output, state = layer(x, lengths=[4, 3, 0, 1, 4], reset=reset)
    output.sum().backward()
    layers = len(list(layer.places()))
    assert [part.shape for part in state] == [(layers, 5, 3, 2), (layers, 5, 3)]
    again, _ = layer.eval()(x, layer.initial_state(5), lengths=[4, 3, 0, 1, 4])
    assert again.shape == output.shape


def test_zoneout_of_one_keeps_the_matrix() -> None:
    layer = Recurrent(fast_weights, 3, 3, sizes={"P": 2}, zoneout={"F": 1.0})
    before = (torch.randn(1, 5, 3, 2), torch.randn(1, 5, 3))
    _, (F, h) = layer(torch.randn(4, 5, 3), before)
    close(F, before[0])
    assert not torch.equal(h, before[1])


def test_explain_says_why_there_is_no_kernel() -> None:
    assert (
        Recurrent("mlstm", 2, 3)
        .explain()
        .endswith("not cpu: the matrix C changes in each step; kernels multiply by weights only")
    )
    reason = str(choose(scaled.graph, CPU, torch.float32))
    assert "not cpu: a matrix of its equations changes in each step" in reason
    reason = str(choose(constant_scalar.graph, CPU, torch.float32))
    assert "not cpu: the state m is a scalar; kernels carry vectors" in reason
    assert choose(cells.get("slstm").graph, CPU, torch.float32).backend.name == "cpu"


def test_printed_forms() -> None:
    assert "F[t] = f[t] * F[t-1] + s1[t] * outer(v[t], k[t])" in text(fast_weights.graph).replace(
        "(1 - f[t])", "s1[t]"
    )
    assert r"v_{t} \, k_{t}^{\top}" in latex(fast_weights.graph)


def test_a_stream_carries_matrices_and_scalars() -> None:
    layer = Recurrent("mlstm", 3, 4, num_layers=2, zoneout=0.3).eval()
    x = torch.randn(5, 2, 3)
    with torch.no_grad():
        whole, last = layer(x)
        stream = layer.stream(2)
        for now, expected in zip(x, whole, strict=True):
            close(stream.step(now), expected, 1e-6)
        for ours, theirs in zip(stream.state, last, strict=True):
            close(ours, theirs, 1e-6)

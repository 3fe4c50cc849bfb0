"""Matrices and scalars that change in each step: values, gradients, options, the backend taken."""

from __future__ import annotations

import pytest
import torch

from recurra import Recurrent
from recurra.graph import Cell, latex, text
from recurra.graph.simplify import simplify
from support.checks import check_backward, check_gradients, check_lengths, check_value, close
from support.matrix_cells import OWN, fast_weights, parallel_mlstm

own = pytest.mark.parametrize("cell", OWN, ids=lambda cell: cell.name)


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
    x = torch.randn(steps, rows, 3, dtype=torch.float64)
    close(layer(x)[0], parallel_mlstm(layer, x))


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

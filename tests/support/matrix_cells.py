"""Cells whose states are matrices and scalars, or whose matrices change in each step."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra import Recurrent
from recurra.graph import cell, mean, outer, sigmoid, sum, tanh, transpose, where


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


@cell(state="M, h", output="y", shapes={"M": "P H"})
def read_both_ways(p, x, M, h):
    """A memory that nothing feeds back into: read before and after the step, from both sides."""
    k = tanh(p.W_k @ x)
    v = p.W_v @ x + p.U_v @ h
    a = sigmoid(sum(p.w_a * x))
    r = M @ k
    h = tanh(p.W_h @ x + p.U_h @ h)
    M = a * M - outer(v, k) / 2
    y = tanh(transpose(M) @ (p.W_q @ x) + p.R_r @ r + h)  # noqa: F841  (the output)
    return M, h


@cell(state="M, h", shapes={"M": "H P"}, output="h")
def adding(p, x, M, h):
    """A memory that never fades, and a state that follows from its reads."""
    M = M + outer(p.W_v @ x, p.W_k @ x)
    h = tanh(M @ (p.W_q @ x) + p.U_h @ h)
    return M, h


@cell(state="M, N", output="y", shapes={"M": "H H", "N": "H H"})
def chained(p, x, M, N):
    """Two memories, one of which takes up what the other gives; a product of a product."""
    k = p.W_k @ x
    v = p.U_v @ k + p.b_v
    M = 0.9 * M + outer(v, k)
    r = M @ (p.W_q @ x)
    N = 0.8 * N + outer(r, k)
    y = tanh(N @ (v + p.b_q) + r)  # noqa: F841  (the output)
    return M, N


@cell(state="M, m", output="y", shapes={"M": "H H", "m": ""})
def fading_by_itself(p, x, M, m):
    """How much is left follows from what was read: a feedback."""
    k = p.W_k @ x
    M = m * M / 2 + outer(p.W_v @ x, k)
    y = M @ k
    m = tanh(mean(y))
    return M, m


OWN = (fast_weights, scaled, mixed, constant_memory, constant_scalar)
WITHOUT_FEEDBACK = (read_both_ways, adding)


def sizes_of(cell_, p: int) -> dict[str, int]:
    """The sizes that a layer of such a cell takes beside H."""
    letters = {letter for _, shape in cell_.graph.leaf_shapes for letter in shape}
    return {"P": p} if "P" in letters else {}


def parallel_mlstm(layer: Recurrent, x: Tensor) -> Tensor:
    """The output of an mLSTM from zero, by the parallel form in the appendix of its paper.

    Args:
        layer: of one direction.
        x: (T, B, I), float64.
    """
    w = {name: layer.weight(name).double() for name in layer.weight_names}
    q, v = (x @ w[f"W_{a}"].T + w[f"b_{a}"] for a in "qv")
    k = x @ w["W_k"].T / layer.hidden_size**0.5 + w["b_k"]
    f = torch.nn.functional.logsigmoid(x @ w["w_f"] + w["b_f"]).cumsum(0)
    i = x @ w["w_i"] + w["b_i"]
    decay = (f[:, None] - f[None] + i[None]).exp() * torch.ones(len(x), len(x)).tril()[..., None]
    scores = torch.einsum("tbp,sbp->tsb", q, k) * decay
    divisor = scores.sum(1).abs().clamp(min=1)
    o = (x @ w["W_o"].T + w["b_o"]).sigmoid()
    return o * torch.einsum("tsb,sbh->tbh", scores, v) / divisor[..., None]

"""Long sequences in pieces: the same values and gradients in less memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

import recurra
from recurra import Recurrent, cells
from recurra.backends import choice
from recurra.backends.cpu import Cpu
from recurra.backends.reference import Reference
from recurra.errors import UsageError

SIZES = {"P": 5, "I_y": 4}
T, B, I, H = 7, 3, 4, 6
EVERY = [1, 3, 7, 99]
CALLS = {
    "plain": ({}, {}),
    "both ways, lengths": ({"bidirectional": True}, {"lengths": [7, 0, 4]}),
    "both ways, reset": ({"bidirectional": True}, {"reset": torch.eye(T, B, dtype=torch.bool)}),
    "lengths, reset": ({}, {"lengths": [5, 7, 2], "reset": torch.eye(T, B) > 0}),
    "masks": ({"recurrent_dropout": 0.4, "input_dropout": 0.3, "dropout": 0.3}, {}),
    "zoneout": ({"zoneout": 0.3, "learn_initial_state": True}, {"reset": torch.eye(T, B) > 0}),
    "residual": ({"residual": True, "bias": False}, {"start": 5}),
}


@pytest.fixture(params=["cpu", "reference"], autouse=True)
def backend(request, monkeypatch):
    backends = {"cpu": (Cpu(least=0),), "reference": (Reference(),)}[request.param]
    monkeypatch.setattr(choice, "BACKENDS", backends)
    return request.param


def parts(state):
    return (state,) if isinstance(state, torch.Tensor) else tuple(state)


def layer_of(name, i=I, **options) -> Recurrent:
    torch.manual_seed(1)
    letters = {letter for _, shape in cells.get(name).graph.leaf_shapes for letter in shape}
    sizes = {letter: SIZES.get(letter, 5) for letter in sorted(letters - {"I", "H"})}
    layer = Recurrent(name, i, H, 2, sizes=sizes, dtype=torch.float64, **options)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.4)
    return layer


def results(layer, every, **call):
    """Output, states, and the gradients of a weighted sum of them for everything."""
    layer.checkpoint_every = every
    torch.manual_seed(2)
    x = torch.randn(T, B, layer.input_size, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn_like(p).requires_grad_() for p in parts(layer.initial_state(B)))
    output, last = layer(x, state if len(state) > 1 else state[0], **call)
    drawn = torch.rand(1)  # chance goes on from the same place
    total = sum((p * torch.randn_like(p)).sum() for p in (output, *parts(last)))
    wanted = (x, *state, *layer.parameters())
    gradients = torch.autograd.grad(total, wanted, allow_unused=True)
    return drawn, output, *parts(last), *(g for g in gradients if g is not None)


def assert_same(layer, **call):
    expected = results(layer, None, **call)
    for every in EVERY:
        found = results(layer, every, **call)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["elman", "gru_reset_before", "lstm_layernorm", "lstm_projection"])
def test_cells(name):
    assert_same(layer_of(name))


@pytest.mark.parametrize("options", CALLS.values(), ids=CALLS)
def test_options(options):
    constructor, call = options
    assert_same(layer_of("lstm", i=H, **constructor), **call)


def test_against_torch():
    torch.manual_seed(0)
    theirs = nn.LSTM(I, H, 2, bidirectional=True, dtype=torch.float64)
    ours = recurra.LSTM(I, H, 2, bidirectional=True, dtype=torch.float64, checkpoint_every=2)
    ours.load_state_dict(theirs.state_dict())
    found = []
    for layer in (ours, theirs):
        torch.manual_seed(1)
        x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
        output, (h, c) = layer(x)
        ((output**2).sum() + (h * c).sum()).backward()
        found.append((output, h, c, x.grad, *(p.grad for p in layer.parameters())))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_second_derivatives():
    layer = layer_of("gru")
    layer.checkpoint_every = 2
    x = torch.randn(3, 2, I, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradgradcheck(lambda x: layer(x)[0], (x,), fast_mode=True)


def test_each_piece_runs_twice_and_once_without_gradients(backend, monkeypatch):
    kind = {"cpu": Cpu, "reference": Reference}[backend]
    original, steps = kind.run, []

    def counted(self, graph, weights, given):
        steps.append(given.steps)
        return original(self, graph, weights, given)

    monkeypatch.setattr(kind, "run", counted)
    layer = recurra.GRU(I, H, checkpoint_every=3)
    x = torch.randn(T, B, I)
    output, _ = layer(x)
    assert steps == [3, 3, 1]
    output.sum().backward()
    assert steps == [3, 3, 1, 1, 3, 3]
    with torch.no_grad():
        layer(x)
    assert steps[6:] == [7]


@pytest.mark.parametrize("every", [0, -1, True, 2.5, "3"])
def test_no_number_of_steps(every):
    with pytest.raises(UsageError, match=r"checkpoint_every=.*; it must be a whole number from 1"):
        Recurrent("lstm", 2, 3, checkpoint_every=every)


def test_it_is_shown_and_leaves_the_way_to_torch_open():
    layer = recurra.LSTM(2, 3, checkpoint_every=50)
    assert "checkpoint_every=50" in repr(layer)
    assert isinstance(layer.to_torch(), nn.LSTM)


PEAK = """
import re, sys, torch, recurra
torch.set_num_threads(1)
def peak():  # not ru_maxrss, which begins with what the process that starts this one had
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
def train(steps):
    x = torch.randn(steps, 4, 128, requires_grad=True)
    output, _ = layer(x)
    output.backward(torch.randn_like(output))
    assert x.grad.abs().sum() > 0
layer = recurra.LSTM(128, 128, checkpoint_every=eval(sys.argv[1]))
train(600)
before = peak()
train(10_000)
print((peak() - before) / (4 * 10_000 * 4 * 128 * 4))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux counts")
@pytest.mark.parametrize("backend", ["cpu"], indirect=True)
def test_peak_memory_is_at_most_twice_that_of_what_goes_in_and_out():
    def measured(every):
        command = [sys.executable, "-c", PEAK, str(every)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert measured(300) < 2 < measured(None)

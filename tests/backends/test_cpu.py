"""The fused kernels against the reference: outputs, states and every gradient."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from recurra import Recurrent, cells
from recurra.backends import choice
from recurra.backends.cpu import Cpu, memory, rules
from recurra.backends.cpu.kernel import Kernel
from recurra.backends.cpu.product import linear
from recurra.backends.cpu.program import forward_program, normal
from recurra.backends.cpu.rest import rest_of
from recurra.backends.cpu.target import host
from recurra.backends.reference import Reference
from recurra.graph import Cell, cell, mean, sigmoid, sum, tanh, where
from support.checks import features
from support.random_cells import random_cells
from support.rooms import nan_filled
from support.vector_code import run_function

SIZES = {"lstm_projection": {"P": 5}}
FUSED = [
    name
    for name in cells.names()
    if Cpu().refusal(cells.get(name).graph, torch.device("cpu"), torch.float32) is None
]
SHAPES = [(1, 1, 1, 1), (3, 7, 5, 19), (4, 9, 2, 63)]  # T, B, I, H: no multiple of any vector
OPTIONS = [
    {"bidirectional": True, "num_layers": 2},
    {"recurrent_dropout": 0.4},
    {"zoneout": 0.3},
    {"learn_initial_state": True, "residual": True},
    {"bias": False},
]


def parts(state) -> tuple[torch.Tensor, ...]:
    return (state,) if isinstance(state, torch.Tensor) else tuple(state)


def results(backend, layer, x, monkeypatch, **call) -> list[tuple[str, torch.Tensor]]:
    """Everything a call gives, with gradients of a weighted sum of it."""
    monkeypatch.setattr(choice, "BACKENDS", (backend,))
    torch.manual_seed(7)
    x = x.clone().requires_grad_()
    start = tuple(torch.randn_like(part) for part in parts(layer.initial_state(x.shape[1])))
    if layer.cell.name == "slstm":  # n divides, a sum of gates: no step leaves it near 0
        start[2].abs_().add_(1)
    start = tuple(part.requires_grad_() for part in start)
    torch.manual_seed(8)  # masks
    output, last = layer(x, start if len(start) > 1 else start[0], **call)
    torch.manual_seed(9)
    total = (output * torch.randn_like(output)).sum()
    for part in parts(last):
        total = total + (part * torch.randn_like(part)).sum()
    named = list(layer.named_parameters())
    wanted = [x, *start, *(p for _, p in named)]
    gradients = torch.autograd.grad(total, wanted, allow_unused=True)
    labels = ["d_x", *(f"d_state{k}" for k in range(len(start))), *(f"d_{n}" for n, _ in named)]
    found = [("output", output), *((f"state{k}", p) for k, p in enumerate(parts(last)))]
    return found + [(n, g) for n, g in zip(labels, gradients, strict=True) if g is not None]


def assert_same(layer, x, monkeypatch, tolerance: float = 1e-10, **call) -> None:
    fused = results(Cpu(least=0), layer, x, monkeypatch, **call)
    plain = results(Reference(), layer, x, monkeypatch, **call)
    assert [name for name, _ in fused] == [name for name, _ in plain]
    for (name, mine), (_, other) in zip(fused, plain, strict=True):
        torch.testing.assert_close(
            mine, other, rtol=tolerance, atol=tolerance, msg=lambda m, name=name: f"{name}: {m}"
        )


def layer_of(name, i: int, h: int, dtype=torch.float64, **options) -> Recurrent:
    torch.manual_seed(1)
    return Recurrent(name, i, h, sizes=SIZES.get(name), dtype=dtype, **options)


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_cell_at_ugly_sizes(name, shape, monkeypatch):
    """Memory handed to kernels is NaN: any read before a write would show."""
    monkeypatch.setattr(memory, "empty", nan_filled)
    t, b, i, h = shape
    if name in SIZES and h == 1:
        h = 6
    i = features(name, i, h)
    assert_same(layer_of(name, i, h), torch.randn(t, b, i, dtype=torch.float64), monkeypatch)


@pytest.mark.parametrize("name", FUSED)
def test_float32(name, monkeypatch):
    layer = layer_of(name, features(name, 4, 33), 33, torch.float32)
    x = torch.randn(5, 6, layer.input_size)
    assert_same(layer, x, monkeypatch, tolerance=2e-5)


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before", "lstm_peephole"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_options(name, options, monkeypatch):
    x = torch.randn(4, 5, 18, dtype=torch.float64)
    assert_same(layer_of(name, 18, 18, **options), x, monkeypatch)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_lengths_and_resets(name, monkeypatch):
    layer = layer_of(name, 3, 17, bidirectional=True)
    x = torch.randn(5, 4, 3, dtype=torch.float64)
    reset = torch.zeros(5, 4, dtype=torch.bool)
    reset[2, 1] = reset[4, 3] = True
    assert_same(layer, x, monkeypatch, lengths=torch.tensor([5, 3, 0, 4]), reset=reset)


@settings(max_examples=12)
@given(cell=random_cells())
def test_random_cells(cell):
    with pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(1)
        letters = {letter for _, shape in cell.graph.leaf_shapes for letter in shape}
        sizes = {"I_y": 4} if "I_y" in letters else {}
        layer = Recurrent(cell, 3, 5, sizes=sizes, dtype=torch.float64)
        x = torch.randn(3, 2, 3, dtype=torch.float64)
        extra = {"y": torch.randn(3, 2, sizes.get("I_y", 5), dtype=torch.float64)}
        assert_same(layer, x, patch, tolerance=1e-8, inputs=extra)


def test_expanded_offset_and_transposed_inputs(monkeypatch):
    layer = layer_of("gru", 3, 17)
    base = torch.randn(6, 5, 8, dtype=torch.float64)
    for x in (base[1:, :, 2:5], base.transpose(0, 1)[..., 5:], base[:1, :1, :3].expand(6, 5, 3)):
        assert_same(layer, x, monkeypatch)


def test_second_derivatives_go_through_pytorch(monkeypatch):
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=0),))
    layer = layer_of("gru", 2, 3)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    inputs = (x, *layer.parameters())

    def run(x, *_):
        return layer(x)[0]

    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_one_result_for_every_number_of_threads(monkeypatch):
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=0),))
    layer = layer_of("lstm", 4, 40, torch.float32)
    x = torch.randn(6, 11, 4)
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            output, (h, c) = layer(x)
            found.append((output, h, c))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize(("bits", "limit"), [(32, 2), (64, 3)])
def test_functions_to_units_in_the_last_place(bits, limit):
    dtype = np.float32 if bits == 32 else np.float64
    top = 12 if bits == 32 else 24
    x = np.concatenate(
        [
            np.linspace(-top, top, 800_001),
            np.linspace(-105, 105, 200_001),  # where the sigmoid is no normal number any more
            np.geomspace(1e-30, 100, 100_001),
            -np.geomspace(1e-30, 80, 100_001),
        ]
    ).astype(dtype)
    wide = x.astype(np.longdouble)
    exact = {
        "tanh": np.tanh(wide),
        "sigmoid": 1 / (1 + np.exp(-wide)),
        "softplus": np.maximum(wide, 0) + np.log1p(np.exp(-np.abs(wide))),
    }
    for name, expected in exact.items():
        error = np.abs(run_function(name, x).astype(np.longdouble) - expected)
        unit = np.spacing(np.abs(expected.astype(dtype))).astype(np.longdouble)
        assert (error / unit).max() <= limit, name


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("name", ["exp", "log", "softplus", "tanh", "sigmoid", "relu"])
def test_functions_at_the_edges(name, bits):
    dtype = np.float32 if bits == 32 else np.float64
    x = np.array([-np.inf, -1e4, -1.0, -0.0, 0.0, 1e-38, 1.0, 50.0, 1e4, np.inf, np.nan], dtype)
    if name == "log":
        x = np.abs(x)
    with np.errstate(all="ignore"):
        wide = x.astype(np.longdouble)
        expected = {
            "exp": np.exp(wide),
            "log": np.log(wide),
            "softplus": np.logaddexp(wide, 0),
            "tanh": np.tanh(wide),
            "sigmoid": 1 / (1 + np.exp(-wide)),
            "relu": np.maximum(wide, 0),
        }[name].astype(dtype)
    tiny = np.finfo(dtype).tiny  # below it, gradual underflow may be flushed to zero
    np.testing.assert_allclose(run_function(name, x), expected, rtol=1e-6, atol=tiny)


def test_work_memory_is_reused_and_released():
    memory.release_memory()
    like = torch.empty(0)
    first = memory.empty(like, 50, 1000)
    address = first.data_ptr()
    part = first[10:]  # a view keeps the memory
    del first
    assert memory.empty(like, 50, 1000).data_ptr() != address
    del part
    again = memory.empty(like, 1000, 50)
    assert again.data_ptr() == address
    assert again.shape == (1000, 50)
    del again
    memory.release_memory()
    assert not memory._free


def run_small(cell: Cell, monkeypatch, sizes=(), inputs=()) -> None:
    torch.manual_seed(3)
    layer = Recurrent(cell, 3, 18, sizes=dict(sizes), dtype=torch.float64)
    extra = {
        name: torch.randn(4, 5, size, dtype=torch.float64, requires_grad=True)
        for name, size in inputs
    }
    x = torch.randn(4, 5, 3, dtype=torch.float64)
    call = {"inputs": extra} if extra else {}
    assert_same(layer, x, monkeypatch, **call)
    for value in extra.values():
        monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=0),))
        mine = torch.autograd.grad(layer(x, **call)[0].square().sum(), value)
        monkeypatch.setattr(choice, "BACKENDS", (Reference(),))
        other = torch.autograd.grad(layer(x, **call)[0].square().sum(), value)
        torch.testing.assert_close(mine, other)


def test_a_matrix_on_two_operands(monkeypatch):
    @cell(state="h, c")
    def shared(p, x, h, c):
        a = tanh(p.W @ x + p.U @ h + p.V @ h)
        n = sigmoid(p.R @ x + p.U @ c)
        c = 0.5 * c + 0.1 * n * a
        h = tanh(p.U @ a)
        return h, c

    run_small(shared, monkeypatch)


def test_a_matrix_without_a_gradient(monkeypatch):
    @cell(state="h")
    def chosen(p, x, h):
        h = where(p.U @ h > p.W @ x, p.V @ h, 1.0)
        return h

    run_small(chosen, monkeypatch)


def test_inputs_whose_names_begin_like_marks(monkeypatch):
    @cell(state="h", shapes={"topic": "H", "alive_y": "H"})
    def driven(p, x, topic, alive_y, h):
        h = tanh(p.W @ x + p.U @ h) * topic + alive_y
        return h

    run_small(driven, monkeypatch, inputs=(("topic", 18), ("alive_y", 18)))


def test_sizes_that_only_inputs_have(monkeypatch):
    @cell(state="h", shapes={"y": "J"})
    def counted(p, x, y, h):
        s = sum(y * mean(h)) + sum(tanh(x * mean(h)))
        h = tanh(p.W @ x + p.U @ h + s)
        return h

    run_small(counted, monkeypatch, {"J": 7}.items(), (("y", 7),))


LIMITED = """
import torch, recurra
from recurra.backends import choice
from recurra.backends.reference import Reference
torch.set_num_threads(2)
layer, x = recurra.LSTM(4, 64), torch.randn(20, 32, 4)
mine = layer(x)[0]
choice.BACKENDS = (Reference(),)
torch.testing.assert_close(mine, layer(x)[0])
"""


@pytest.mark.parametrize("limit", [{"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "true"}], ids=str)
def test_a_team_that_is_smaller_than_asked(limit):
    command = [sys.executable, "-c", LIMITED]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, **limit})


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_transforms_of_pytorch_run_on_the_reference():
    layer = layer_of("gru", 4, 64, torch.float32)
    x = torch.randn(20, 16, 4)
    weights = dict(layer.named_parameters())

    def loss(weights):
        return torch.func.functional_call(layer, weights, (x,))[0].square().mean()

    found = torch.func.grad(loss)(weights)
    expected = torch.autograd.grad(loss(weights), list(weights.values()))
    for (name, mine), other in zip(found.items(), expected, strict=True):
        torch.testing.assert_close(mine, other, msg=lambda m, name=name: f"{name}: {m}")
    _, tangent = torch.func.jvp(loss, (weights,), (weights,))
    assert tangent.isfinite()


def test_a_broken_gradient_rule_is_seen(monkeypatch):
    """A deliberate defect: with one rule wrong, the comparison above goes red."""
    monkeypatch.setitem(rules.RULES, "subtract", lambda v, a, b: v.b.fadd(a, b))
    with pytest.raises(AssertionError):
        assert_same(layer_of("gru", 3, 23), torch.randn(3, 2, 3, dtype=torch.float64), monkeypatch)


@cell(state="h")
def one_product_before_the_loop(p, x, h):
    n = tanh(p.W_n @ x + p.b_n)
    k = sigmoid(p.W_k @ x + p.U_k @ h + p.b_k)
    h = tanh((1 - k) * h + k * n)
    return h


@cell(state="h")
def one_product_without_gradient(p, x, h):
    a = p.W_a @ x + p.b_a
    n = tanh(p.W_n @ x + p.U_n @ h + p.b_n)
    h = where(a > h, n, 0.9 * h)
    return h


@pytest.mark.parametrize(
    "own", [one_product_before_the_loop, one_product_without_gradient], ids=str
)
def test_stacked_products_of_which_the_loop_reads_a_part(own, monkeypatch):
    """Products of x with one bias each share a tensor; its gradient has a place for all of them."""
    layer = layer_of(own, 3, 19)
    assert_same(layer, torch.randn(4, 5, 3, dtype=torch.float64), monkeypatch)


def test_resting_units_multiply_nothing(monkeypatch):
    layer = layer_of("clockwork", 3, 1000)  # nine modules, larger than a block of units
    x = torch.randn(4, 7, 3, dtype=torch.float64)
    expected = results(Reference(), layer, x, monkeypatch)
    found = results(Cpu(least=0), layer, x, monkeypatch)
    for (name, mine), (_, other) in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9, msg=name)
    rest = rest_of(*swept("clockwork"))
    assert rest is not None
    assert list(rest.results.values()) == list(layer.graph.states)  # h stays as it is
    assert rest_of(*swept("lstm")) is None


def swept(name):
    program = forward_program(normal(cells.get(name).graph))
    kernel = Kernel(program, {"I": 3, "H": 40}, host().form(64), host().accumulators, False)
    return kernel.draft, kernel.sweeps[0]


def test_work_memory_of_other_sizes_makes_room(monkeypatch):
    """What was not asked for lately goes first, so that a new size is kept too."""
    monkeypatch.setattr(memory, "_MOST", 2**20)
    memory.release_memory()
    for count in (100_000, 120_000, 140_000):  # 0.4, 0.5 and 0.6 MB: no two fit beside the third
        places = set()
        for _ in range(4):
            block = memory.empty(torch.zeros(1), count)
            places.add(block.data_ptr())
            del block
        assert len(places) == 1, count
    assert memory._kept <= 2**20
    memory.release_memory()
    assert memory._kept == 0


def test_second_derivatives_where_the_last_rows_are_empty(monkeypatch):
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=0), Reference()))
    layer = layer_of("gru", 2, 3)
    x = torch.randn(3, 3, 2, dtype=torch.float64, requires_grad=True)
    inputs = (x, *layer.parameters())
    assert torch.autograd.gradgradcheck(lambda x, *_: layer(x, lengths=[3, 0, 2])[0], inputs)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_views_that_are_negated_only_by_a_mark(name, monkeypatch):
    """The imaginary part of a conjugate lies negated in memory; so do some gradients."""
    layer = layer_of(name, 1, 1)
    x = torch.randn(4, 3, 1, dtype=torch.float64)
    marked, begin = torch._neg_view(-x), torch.randn(1, 3, 1, dtype=torch.float64)
    start = torch.complex(begin, -begin).conj().imag
    assert all((marked.is_neg(), start.is_neg(), torch.equal(start, begin)))

    def run(backend, x, start):
        monkeypatch.setattr(choice, "BACKENDS", (backend,))
        output, state = layer(x, start if name == "gru" else (start, start))
        pair = torch.complex(parts(state)[0], output[-1:]).conj() * torch.complex(x[:1], x[1:2])
        return torch.autograd.grad(pair.sum().real, list(layer.parameters()))

    expected = run(Reference(), x, begin)
    torch.testing.assert_close(run(Cpu(least=0), marked, start), expected)


def test_gradients_that_are_marked_as_zero(monkeypatch):
    """PyTorch gives them no memory at all."""
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=0),))
    layer = layer_of("gru", 3, 5)
    output, _ = layer(torch.randn(4, 3, 3, dtype=torch.float64))
    zero = torch._efficientzerotensor(output.shape, dtype=torch.float64)
    assert all(not d.any() for d in torch.autograd.grad(output, list(layer.parameters()), zero))


def test_a_marked_view_in_products():
    x, w = torch.randn(2, 9, 7), torch.randn(5, 7, requires_grad=True)
    found = linear(torch._neg_view(x[0]), w)
    torch.testing.assert_close(found, -x[0] @ w.t())
    d = torch.randn(9, 5)
    (dw,) = torch.autograd.grad(linear(x[0], w), w, torch._neg_view(d))
    torch.testing.assert_close(dw, -d.t() @ x[0])

"""The fused recurrence under torch's own tools: compile, export, autocast, DDP, tied weights."""

from __future__ import annotations

import copy
import io
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim

import recurra
from recurra import Recurrent
from recurra.backends import choice
from recurra.backends.cpu import Cpu, fused
from recurra.backends.cpu.operands import operands
from recurra.backends.cpu.plans import Plan
from recurra.backends.cpu.product import linear
from recurra.backends.reference import Reference
from recurra.backends.said import SAID
from recurra.cells import get
from recurra.errors import ShapeError
from recurra.graph import cell, sum, tanh, where
from recurra.graph.serial import dumps

T, B, I, H = 6, 3, 4, 18
LENGTHS = torch.tensor([6, 0, 4])
RESET = torch.zeros(T, B, dtype=torch.bool).index_fill(0, torch.tensor([2]), True)
CALLS = [
    ("lstm", {}, {}),
    ("gru", {"num_layers": 2, "bidirectional": True}, {}),
    ("mgu", {"bidirectional": True}, {"lengths": LENGTHS, "reset": RESET}),
    ("gru_reset_before", {"learn_initial_state": True}, {"reset": RESET}),
    ("lstm_peephole", {"num_layers": 2, "dropout": 0.0}, {"lengths": LENGTHS}),
]


@pytest.fixture(autouse=True)
def _fused_at_any_size(monkeypatch):
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=0), Reference()))


@pytest.fixture
def ran(monkeypatch) -> list[str]:
    """The plans that ran on real tensors, in order."""
    names: list[str] = []
    original = Plan.run
    monkeypatch.setattr(Plan, "run", lambda plan, *a: names.append(plan.what) or original(plan, *a))
    return names


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def flat(result) -> list[Tensor]:
    """The output and the states of a call."""
    output, state = result
    return [output, *((state,) if isinstance(state, Tensor) else state)]


def with_gradients(function, layer: nn.Module, x: Tensor, **call) -> list[Tensor]:
    x = x.clone().requires_grad_()
    results = flat(function(x, **call))
    torch.manual_seed(3)
    total = torch.stack([(r * torch.randn_like(r)).sum() for r in results]).sum()
    return [*results, *torch.autograd.grad(total, [x, *layer.parameters()])]


def assert_all_close(found, expected, tolerance: float = 1e-5) -> None:
    for k, (mine, other) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(
            mine, other, rtol=tolerance, atol=tolerance, msg=lambda m, k=k: f"{k}: {m}"
        )


def layer_of(name: str, **options) -> Recurrent:
    torch.manual_seed(1)
    return Recurrent(name, I, H, **options)


def tensors_of(name: str) -> tuple[list[Tensor], str]:
    """What a layer gives to the operator."""
    found = []
    original = Plan.run

    def spied(plan: Plan, tensors: list[Tensor], *a) -> list[Tensor]:
        found.append([t.detach() for t in tensors])
        return original(plan, tensors, *a)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(Plan, "run", spied)
        layer_of(name)(torch.randn(T, B, I))
    return found[0], dumps(get(name).graph)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_reset_before", "lstm_layernorm"])
def test_torchs_own_check_of_operators(name):
    tensors, text = tensors_of(name)
    ops = torch.ops.recurra
    wanting = [tensor.clone().requires_grad_() for tensor in tensors]
    torch.library.opcheck(ops.recurrence.default, (tensors, text, T))
    torch.library.opcheck(ops.recurrence.default, (wanting, text, T))
    torch.library.opcheck(ops.recurrence_training.default, (tensors, text, T))
    results = ops.recurrence_training(tensors, text, T)
    states = len(operands(text).split.graph.states)
    lasts, kept = results[states : 2 * states], results[:states] + results[2 * states :]
    d_output, d_states = torch.randn(T, B, H), [torch.randn_like(last) for last in lasts]
    for wanted in ([True] * len(tensors), [k % 2 == 0 for k in range(len(tensors))]):
        arguments = (tensors, kept, [d_output], d_states, wanted, text, T)
        torch.library.opcheck(ops.recurrence_backward.default, arguments)


@pytest.mark.parametrize(
    ("number", "shape", "steps", "message"),
    [
        (0, (T, B, I), T + 1, r"tensor 0 of a recurrence, a sequence, has the shape .*it must be"),
        (1, (4 * H, I + 1), T, "tensor 1 of a recurrence, its weights"),
        (2, (1,), T, "tensor 2 of a recurrence, its bias"),
        (3, (4 * H, H - 1), T, "tensor 3 of a recurrence, stacked matrices"),
        (3, (4 * H,), T, "it must have 2 dimensions"),
        (4, (B + 1, H), T, "tensor 0 of a recurrence, a sequence"),
        (5, (B, H + 1), T, "tensor 5 of a recurrence, a state"),
        (None, None, T, "got 5 tensors; it needs 6"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(number, shape, steps, message):
    tensors, text = tensors_of("lstm")
    if number is None:
        tensors.pop()
    else:
        tensors[number] = torch.zeros(shape)
    with pytest.raises(ShapeError, match=message):
        torch.ops.recurra.recurrence_training(tensors, text, steps)


def test_lengths_that_rise_are_refused():
    tensors, text = tensors_of("lstm")
    tensors[0] = torch.zeros(1, T * B, I)
    lengths = torch.arange(B)
    with pytest.raises(ShapeError, match="lengths that rise or are negative"):
        torch.ops.recurra.recurrence_training(tensors, text, T, lengths)


@pytest.mark.parametrize(("name", "options", "call"), CALLS, ids=str)
def test_compiled_equals_eager(name, options, call, ran):
    layer, x = layer_of(name, **options), torch.randn(T, B, I)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    found = with_gradients(compiled, layer, x, **call)
    count = layer.num_layers * len(layer.directions)
    assert ran == ["training"] * count + ["gradients"] * count
    assert_all_close(found, with_gradients(layer, layer, x, **call))
    with torch.no_grad():
        ran.clear()
        assert_all_close(flat(compiled(x, **call)), flat(layer(x, **call)))
    assert ran == ["inference"] * 2 * count


def test_masks_are_those_of_an_eager_call(ran):
    options = dict.fromkeys(("dropout", "input_dropout", "recurrent_dropout", "zoneout"), 0.3)
    layer, x = layer_of("lstm", num_layers=2, **options), torch.randn(T, B, I)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    torch.manual_seed(4)
    found = with_gradients(compiled, layer, x)
    torch.manual_seed(4)
    assert_all_close(found, with_gradients(layer, layer, x))
    assert ran.count("training") == ran.count("gradients") == 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")
def test_inductor(ran):
    layer, x = recurra.LSTM(I, H), torch.randn(T, B, I)
    compiled = torch.compile(layer, fullgraph=True)
    theirs = layer.to_torch()
    assert_all_close(with_gradients(compiled, layer, x), with_gradients(theirs, theirs, x))
    assert ran == ["training", "gradients"]


def test_another_batch_and_length_compile_nothing_anew(ran):
    counter = CompileCounterWithBackend("aot_eager")
    layer = layer_of("gru")
    compiled = torch.compile(layer, backend=counter, fullgraph=True, dynamic=True)
    first = 0
    for steps, rows in ((T, B), (2, 7), (40, 5)):
        x, lengths = torch.randn(steps, rows, I), torch.randint(0, steps + 1, (rows,))
        found = with_gradients(compiled, layer, x, lengths=lengths)
        assert_all_close(found, with_gradients(layer, layer, x, lengths=lengths))
        first = first or counter.frame_count
        assert counter.frame_count == first
    assert len(ran) == 12


def test_lengths_out_of_range_are_refused_in_compiled_code():
    compiled = torch.compile(layer_of("gru"), backend="aot_eager", fullgraph=True)
    with pytest.raises(RuntimeError, match="lengths go below 0 or above the steps of x"):
        compiled(torch.randn(T, B, I), lengths=torch.tensor([6, 7, 1]))


IN_ANOTHER_PROCESS = """
import sys, torch, recurra.backends
from recurra.backends.cpu import fused
ran, original = [], fused.inference
fused.inference = lambda *a: ran.append(1) or original(*a)
model = torch.export.load(sys.argv[1]).module()
x, expected = torch.load(sys.argv[2])
with torch.no_grad():
    torch.testing.assert_close(model(x=x)[0], expected)
assert ran == [1]
"""


class Plain(nn.Module):
    """A layer with the arguments that an exported program takes."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        return flat(self.layer(x, lengths=lengths))


def program_of(layer: nn.Module, lengths: Tensor | None) -> bytes:
    rows = Dim("rows", min=1, max=512)
    shapes = {"x": {0: Dim("steps", min=1, max=4096), 1: rows}}
    arguments = {"x": torch.randn(T, B, I)}
    if lengths is not None:
        shapes["lengths"], arguments["lengths"] = {0: rows}, lengths
    program = torch.export.export(Plain(layer), (), arguments, dynamic_shapes=shapes)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "options"),
    [("lstm", {}), ("gru_reset_before", {}), ("gru", {"checkpoint_every": 4})],
    ids=str,
)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_an_exported_program_runs_and_trains_at_other_sizes(name, options, lengths, ran):
    layer = layer_of(name, bidirectional=True)
    exported = layer_of(name, bidirectional=True, **options)
    model = torch.export.load(io.BytesIO(program_of(exported, lengths))).module()
    for steps, rows in ((11, 5), (1, 1)):
        x = torch.randn(steps, rows, I)
        call = {} if lengths is None else {"lengths": torch.randint(0, steps + 1, (rows,))}
        with torch.no_grad():
            assert_all_close(model(x=x, **call), flat(layer(x, **call)))
        ran.clear()
        model(x=x, **call)[0].square().sum().backward()
        assert ran == ["training"] * 2 + ["gradients"] * 2
        layer.zero_grad()
        layer(x, **call)[0].square().sum().backward()
        theirs = dict(model.named_parameters())
        for key, mine in layer.named_parameters():
            torch.testing.assert_close(theirs[f"layer.{key}"].grad, mine.grad)
        model.zero_grad()


def test_an_exported_program_needs_no_layer(tmp_path):
    layer, x = layer_of("lstm"), torch.randn(9, 2, I)
    (tmp_path / "program.pt2").write_bytes(program_of(layer, None))
    torch.save((x, layer(x)[0].detach()), tmp_path / "expected.pt")
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS]
    files = [str(tmp_path / name) for name in ("program.pt2", "expected.pt")]
    subprocess.run([*command, *files], check=True, timeout=120)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("compiled", [False, True])
def test_autocast_keeps_the_recurrence_in_float32(dtype, compiled, ran):
    layer = recurra.LSTM(I, H, bidirectional=True)
    theirs, x = layer.to_torch(), torch.randn(T, B, I)
    state = (torch.randn(2, B, H), torch.randn(2, B, H))
    function = torch.compile(layer, backend="aot_eager", fullgraph=True) if compiled else layer
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = flat(function(x.to(dtype), tuple(part.to(dtype) for part in state)))
        theirs(x.to(dtype), tuple(part.to(dtype) for part in state))  # takes them too
    assert {part.dtype for part in found} == {torch.float32}
    assert_all_close(found, flat(theirs(x, state)), tolerance=0.05)
    found[0].square().sum().backward()
    assert {parameter.grad.dtype for parameter in layer.parameters()} == {torch.float32}
    assert ran == ["training"] * 2 + ["gradients"] * 2


def test_a_deep_copy_runs_and_learns_by_itself(ran):
    layer, x = layer_of("lstm"), torch.randn(T, B, I)
    layer(x)[0].sum().backward()
    twin = copy.deepcopy(layer)
    layer.zero_grad()
    assert_all_close(flat(twin(x)), flat(layer(x)))
    compiled = torch.compile(twin, backend="aot_eager", fullgraph=True)
    assert_all_close(with_gradients(compiled, twin, x), with_gradients(layer, layer, x))
    assert ran.count("training") == 5


def test_ddp_in_one_process(ran, tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        layer, x = layer_of("gru", num_layers=2), torch.randn(T, B, I)
        alone = copy.deepcopy(layer)
        parallel = nn.parallel.DistributedDataParallel(layer)
        for _ in range(2):
            parallel(x)[0].square().sum().backward()
            alone(x)[0].square().sum().backward()
        for mine, other in zip(layer.parameters(), alone.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, other.grad)
    finally:
        dist.destroy_process_group()
    assert ran.count("gradients") == 8


class Tied(nn.Module):
    """A layer used twice; its input matrix is also an embedding."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.embedding = nn.Embedding(4 * H, I)
        self.embedding.weight = layer.weight_ih_l0

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        once, _ = self.layer(self.embedding(tokens))
        twice, (h, _) = self.layer(once[..., :I])
        return twice, h


@pytest.mark.parametrize("compiled", [False, True])
def test_tied_weights(compiled, ran):
    layer = recurra.LSTM(I, H)
    mine, theirs = Tied(layer), Tied(layer.to_torch())
    tokens = torch.randint(0, 4 * H, (T, B))
    function = torch.compile(mine, backend="aot_eager", fullgraph=True) if compiled else mine
    (twice, h), (other, last) = function(tokens), theirs(tokens)
    assert_all_close([twice, h], [other, last])
    (twice.square().sum() + h.sum()).backward()
    (other.square().sum() + last.sum()).backward()
    for a, b in zip(mine.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    assert ran == ["training"] * 2 + ["gradients"] * 2


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_no_steps_and_no_rows(name):
    layer = layer_of(name)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    for steps, rows in ((0, B), (T, 0)):
        x = torch.randn(steps, rows, I)
        found = with_gradients(compiled, layer, x)
        expected = flat(layer(x))
        assert_all_close(found[: len(expected)], expected, tolerance=0)
        assert not any(d.any() for d in found[len(expected) :])


def test_a_read_without_a_gradient_beside_one_with(ran):
    @cell(state="h")
    def chosen(p, x, h):
        h = where(p.U @ h > p.W @ x, tanh(p.V @ h + p.R @ x), 1.0)
        return h

    layer = Recurrent(chosen, I, H)
    x = torch.randn(T, B, I)
    found = with_gradients(layer, layer, x)
    choice.BACKENDS = (Reference(),)
    assert_all_close(found, with_gradients(layer, layer, x))
    assert ran == ["training", "gradients"]


@pytest.mark.parametrize("name", ["lstm", "gru", "lstm_peephole"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
def test_gradients_that_nobody_wants_are_left_out(name, lengths, monkeypatch):
    """Each tensor alone gets the gradient that it gets among all."""
    layer, x = layer_of(name), torch.randn(T, B, I)
    asked = []
    original = fused.gradients
    monkeypatch.setattr(
        fused, "gradients", lambda *a: asked.append([*a[4]].count(True)) or original(*a)
    )
    names = ["x", *dict(layer.named_parameters())]

    def found(wanted: list[str]) -> dict[str, Tensor]:
        leaves = {"x": x.clone(), **dict(layer.named_parameters())}
        for key, leaf in leaves.items():
            leaf.requires_grad_(key in wanted)
        total = layer(leaves["x"], lengths=lengths)[0].square().sum()
        grads = torch.autograd.grad(total, [leaves[key] for key in wanted])
        return dict(zip(wanted, grads, strict=True))

    expected = found(names)
    everything = asked[-1]
    for key in names:
        torch.testing.assert_close(found([key])[key], expected[key])
        assert asked[-1] < everything


def test_second_derivatives_are_said_once(caplog):
    SAID.clear()
    layer, x = layer_of("gru"), torch.randn(T, B, I, requires_grad=True)
    with caplog.at_level("INFO", logger="recurra"):
        for _ in range(2):
            (d,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
            d.square().sum().backward()
    (said,) = [r.getMessage() for r in caplog.records]
    assert said.startswith("gru computes gradients in PyTorch")


def test_sizes_that_a_scalar_read_does_not_tell(ran):
    @cell(state="h")
    def gated(p, x, h):
        h = tanh(p.W @ x + p.U @ h) * sum(h * 0.1)
        return h

    layer, x = Recurrent(gated, I, H), torch.randn(T, B, I)
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert_all_close(with_gradients(compiled, layer, x), with_gradients(layer, layer, x))
    assert ran == ["training", "gradients"] * 2


@pytest.mark.parametrize("call", [{}, {"lengths": LENGTHS}], ids=str)
def test_many_gradients_at_once(call, ran):
    """Kernels ran forward; in the backward pass, torch.vmap gives tensors without memory."""
    layer, x = layer_of("gru", bidirectional=True).double(), torch.randn(T, B, I).double()
    x.requires_grad_()
    output, _ = layer(x, **call)
    d = torch.randn(3, *output.shape, dtype=output.dtype)
    wanted = [x, *layer.parameters()]
    found = torch.autograd.grad(output, wanted, d, retain_graph=True, is_grads_batched=True)
    assert ran == ["training"] * 2
    for k in range(3):
        expected = torch.autograd.grad(output, wanted, d[k], retain_graph=True)
        assert_all_close([each[k] for each in found], expected, 1e-10)


def test_many_gradients_of_products_at_once():
    x, w = torch.randn(9, 7, requires_grad=True), torch.randn(5, 7, requires_grad=True)
    d, bias = torch.randn(3, 9, 5), torch.randn(5, requires_grad=True)
    tensors = x, w, bias
    found = torch.autograd.grad(linear(x, w, bias), tensors, d, is_grads_batched=True)
    expected = d @ w, d.transpose(1, 2) @ x, d.sum(1)
    assert_all_close(found, expected)

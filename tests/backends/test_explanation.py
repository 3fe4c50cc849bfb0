"""What a layer tells of its kernels: numbers by hand, and against what a call really does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import recurra
from recurra.backends import choice
from recurra.backends.cpu import Cpu, compiled, explanation, target
from recurra.backends.reference import Reference
from recurra.nn import Recurrent

README = Path(__file__).parents[2] / "README.md"
AVX512 = target.target_for("skylake-avx512", {"avx512f": True, "avx2": True, "fma": True})
AVX2 = target.target_for("haswell", {"avx2": True, "fma": True})
NEON = target.target_for("apple-m1", {"neon": True})
PLAIN = target.target_for("x86-64", {"sse2": True})


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A processor with AVX-512; what is written for it must not be run on another."""
    for module in (compiled, explanation):
        monkeypatch.setattr(module, "host", lambda: AVX512)
    compiled.compiled.cache_clear()
    yield
    compiled.compiled.cache_clear()


def told(layer: Recurrent, *call: int) -> dict[str, str]:
    """What `explain` says below its first line, by label."""
    found: dict[str, str] = {}
    label = ""
    for line in layer.explain(*call).splitlines()[1:]:
        assert line.startswith("  ")
        label = line[2:10].strip() or label
        found[label] = "\n".join([*found.get(label, "").splitlines(), line[11:]])
    return found


def numbers(text: str) -> list[int]:
    return [int(found.replace(",", "")) for found in re.findall(r"\b\d[\d,]*\b", text)]


@pytest.mark.usefixtures("wide")
def test_lstm_by_hand() -> None:
    found = told(Recurrent("lstm", 8, 64), 96, 32)
    # 24 registers for sums: 6 rows x 4 gates; backward one sum of 4H products for each unit.
    assert (
        found["tile"] == "forward 6 rows x 1 vector x 4 sums\nbackward 6 rows x 4 vectors x 1 sum"
    )
    assert found["vectors"] == "16 lanes, AVX-512"
    assert found["stages"] == "1: U_i, U_f, U_g, U_o @ h[t-1]"
    assert found["saved"].splitlines() == [
        "i, f, g, o: 1,024 bytes a step and row",  # 4 gates x 64 units x 4 bytes
        "the state c: 256",
    ]
    forward, backward = found["FLOPs"].splitlines()
    assert numbers(forward) == [2 * 4 * 64 * 64, 2 * 4 * 64 * 8]
    assert numbers(backward) == [2 * 4 * 64 * 64, 2 * 4 * 64 * (64 + 8), 2 * 4 * 64 * 8]
    assert found["threads"] == "2 share the rows"
    # 3072 steps and rows x 36,864 FLOP, x 69,632 FLOP, x 1,280 bytes
    assert found["call"] == (
        "T 96, B 32: forward 113.2 MFLOP, backward 213.9 without gradients of inputs; saved 3.9 MB"
    )


def test_gru_saves_its_gates_and_the_product_inside_the_reset() -> None:
    found = told(Recurrent("gru", 8, 64))
    assert found["saved"].startswith("r, z, n, c_n + U_n @ h[t-1]: 1,024 bytes")
    assert "state" not in found["saved"]  # h is the output
    assert found["stages"] == "1: U_r, U_z, U_n @ h[t-1]"
    assert numbers(found["FLOPs"])[0] == 2 * 3 * 64 * 64


def test_a_reset_before_the_product_is_a_second_stage() -> None:
    found = told(Recurrent("gru_reset_before", 8, 64))
    assert found["stages"] == "1: U_r, U_z @ h[t-1]\n2: U_n @ (r * h[t-1])"
    assert ", then " in found["tile"].splitlines()[0]


def test_without_a_product_in_the_loop() -> None:
    found = told(Recurrent("sru", 64, 64))
    assert found["tile"] == "none: no products with weights in the loop"
    assert found["stages"] == "1: no unit waits for another"
    assert numbers(found["FLOPs"])[0] == 0


def test_long_expressions_are_not_written_out() -> None:
    layer = Recurrent("lstm_layernorm", 8, 16)
    assert "mean(...)" in told(layer)["stages"]
    assert "h_o, i, f, g, o, m, 7 without a name" in told(layer)["saved"]
    assert max(map(len, layer.explain().splitlines())) < 130


def test_a_format_without_kernels_tells_the_reason_alone() -> None:
    layer = Recurrent("lstm", 8, 16, dtype=torch.bfloat16)
    assert layer.explain(96, 32) == str(layer.choice(96, 32))
    assert "not in bfloat16" in layer.explain()


def test_a_memory_that_is_a_matrix() -> None:
    layer = Recurrent("mlstm", 8, 16)
    found = told(layer, 300, 32)
    assert found["chunks"].startswith("3 here, of at most 128 steps each")
    assert numbers(found["call"])[2] == int(2 * 4 * 16 * 8 * 300 * 32 / 1e6)  # 4 matrices meet x
    assert "C" in found["chunks"].split()
    assert "chunks" not in told(layer, 4, 64)
    assert "chunks" not in told(Recurrent("lstm", 8, 16))
    # Step by step: C @ q forward; backward the products of dC with k, v and ones, and C's with dh.
    assert numbers(told(layer)["FLOPs"])[0] == 2 * 16 * 16


def test_a_small_call_runs_without_kernels() -> None:
    layer = Recurrent("lstm", 8, 64)
    assert layer.explain(2, 2) == str(layer.choice(2, 2))


def test_sizes_of_a_call_are_left_out_without_them() -> None:
    sizes, open_ = told(Recurrent("lstm", 8, 64), 96, 32), told(Recurrent("lstm", 8, 64))
    assert {label for label in sizes if label not in open_} == {"call"}
    assert {label for label in open_ if sizes[label] != open_[label]} == {"threads"}
    assert open_["threads"].startswith("share the rows if each gets ")


@pytest.mark.parametrize(
    ("hidden", "rows", "threads", "expected"),
    [
        (64, 32, 1, "1 takes all rows"),
        (64, 32, 2, "2 share the rows"),
        (512, 1, 2, "2 share the units of all rows"),
        (32, 1, 2, "1 takes all rows"),  # 4 x 32 x 32 multiplications a step are too few
    ],
)
def test_how_threads_share_the_work(hidden: int, rows: int, threads: int, expected: str) -> None:
    torch.set_num_threads(threads)
    assert told(Recurrent("lstm", 8, hidden), 20_000, rows)["threads"] == expected


def test_options_of_the_layer_count() -> None:
    layer = Recurrent("lstm", 8, 64, recurrent_dropout=0.5, num_layers=2, bidirectional=True)
    assert told(layer)["stages"] == "1: U_i, U_f, U_g, U_o @ (h[t-1] * dropout_H)"
    assert told(layer)["numbers"] == "of the first of 4 layers and directions"
    assert told(layer.eval())["stages"] == "1: U_i, U_f, U_g, U_o @ h[t-1]"


def test_double_precision_takes_twice_the_bytes() -> None:
    assert "2,048 bytes" in told(Recurrent("lstm", 8, 64, dtype=torch.float64))["saved"]


@pytest.mark.parametrize(
    ("processor", "name"),
    [(AVX512, "AVX-512"), (AVX2, "AVX2"), (NEON, "NEON"), (PLAIN, "vectors of 128 bits")],
)
def test_instructions_have_their_common_name(processor: target.Target, name: str) -> None:
    assert explanation.instructions(processor) == name


CELLS = ["lstm", "gru", "gru_reset_before", "lstm_projection", "lstm_peephole"]


@pytest.mark.parametrize("name", CELLS)
def test_flops_are_those_that_torch_counts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Recurrent(name, 5, 64, sizes={"P": 24} if name == "lstm_projection" else None)
    forward, backward = map(numbers, told(layer)["FLOPs"].splitlines())
    monkeypatch.setattr(choice, "BACKENDS", (Reference(),))
    steps, rows = 4, 3
    x = torch.randn(steps, rows, 5, requires_grad=True)
    state = layer(x)[1]
    state = tuple(s.detach().requires_grad_() for s in (state if type(state) is tuple else [state]))
    with FlopCounterMode(display=False) as counter:
        output, _ = layer(x, state if len(state) > 1 else state[0])
        there = counter.get_total_flops()
        output.sum().backward()
        back = counter.get_total_flops() - there
    assert there == steps * rows * sum(forward)
    assert back == steps * rows * sum(backward)


@pytest.mark.parametrize("name", CELLS)
def test_saved_bytes_are_those_of_a_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Recurrent(name, 5, 64, sizes={"P": 24} if name == "lstm_projection" else None)
    monkeypatch.setattr(choice, "BACKENDS", (Cpu(least=1), Reference()))
    rows = 3

    def kept(steps: int) -> int:
        storages: dict[int, torch.UntypedStorage] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            layer(torch.randn(steps, rows, 5))
        return sum(storage.nbytes() for storage in storages.values())

    said = sum(numbers(line)[-1] for line in told(layer)["saved"].splitlines())
    beside = 4 * (5 + layer.output_size)  # x and the output
    assert (kept(9) - kept(8)) == rows * (said + beside)


@pytest.mark.usefixtures("wide")
def test_the_example_of_the_readme_is_what_is_printed() -> None:
    (shown,) = re.findall(r"```text\n(cpu: .*?)```", README.read_text(), re.DOTALL)
    assert shown.rstrip() == recurra.LSTM(8, 64).explain(96, 32)

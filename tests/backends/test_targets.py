"""Kernels for each kind of processor: run where this machine can, else compiled and read."""

from __future__ import annotations

import re
from collections.abc import Iterator

import llvmlite.binding as llvm
import pytest
import torch

from recurra import cells
from recurra.backends.cpu import target as targets
from recurra.backends.cpu.compiled import Split
from recurra.backends.cpu.kernel import Kernel
from recurra.backends.cpu.target import Target, optimized, target_for
from support.fused import assert_same, layer_of
from support.targets import compiling_for, runnable

CELLS = ["lstm", "gru", "gru_reset_before", "lstm_layernorm", "mlstm"]
SHAPES = [(1, 1, 1, 1), (3, 7, 5, 19), (2, 13, 2, 67)]  # T, B, I, H: no multiple of any vector
ARM = "aarch64-unknown-linux-gnu"
REGISTERS = {"avx512": "zmm", "avx2": "ymm", "sse": "xmm"}


@pytest.fixture(params=list(REGISTERS))
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    """Each target that this machine can run."""
    found = runnable()[request.param]
    if found is None:
        pytest.skip(f"this processor has no {request.param}")
    with compiling_for(found):
        yield found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_a_target_computes_what_the_reference_does(cell, dtype, target):
    for t, b, i, h in SHAPES:
        assert_same(layer_of(cell, i, h, dtype), torch.randn(t, b, i, dtype=dtype))


def ir_of(cell: str, target: Target, bits: int, size: int) -> list[str]:
    """The IR of a cell's forward and backward kernel."""
    cut = Split(cells.get(cell).graph)
    texts = []
    for program, backwards in ((cut.forward, False), (cut.backward.program, True)):
        sizes = {letter: size for shape in program.shapes.values() for letter in shape}
        kernel = Kernel(program, sizes, target.form(bits), target.accumulators, backwards)
        texts.append(str(kernel.complete()))
    return texts


def assembly_of(cell: str, target: Target, bits: int, size: int = 37) -> str:
    """Both kernels as assembly."""
    machine = target.machine()
    texts = ir_of(cell, target, bits, size)
    return "".join(machine.emit_assembly(optimized(text, machine)) for text in texts)


def test_the_registers_of_a_target(request, target):
    """Products use the widest vectors that a target has, and no wider ones."""
    text = assembly_of("lstm", target, 32)
    widest = REGISTERS[request.node.callspec.params["target"]]
    used = set(re.findall(r"%([xyz]mm)\d", text))
    order = ["xmm", "ymm", "zmm"]
    assert max(used, key=order.index) == widest
    multiplied = re.findall(rf"v?f?n?m\w*ps\s.*%{widest}\d+", text)
    assert len(multiplied) > 50
    assert ("vfmadd" in text) == (widest != "xmm")


@pytest.fixture(scope="module")
def arm() -> Target:
    """An ARM processor with NEON, for which llvmlite can write code on any machine."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        llvm.Target.from_triple(ARM)
    except RuntimeError as error:
        pytest.skip(f"this llvmlite has no ARM: {error}")
    return target_for("cortex-a72", {"neon": True}, ARM)


@pytest.mark.parametrize(("bits", "shape"), [(32, "4s"), (64, "2d")])
@pytest.mark.parametrize("cell", CELLS)
def test_neon(cell, bits, shape, arm):
    text = assembly_of(cell, arm, bits)
    vector = rf"v\d+\.{shape}"
    products = re.findall(rf"fmla\s+{vector}, {vector}, v\d+\.(?:{shape}|[sd]\[\d\])", text)
    # the whole tile in one turn of the loop: 24 sums, forward and backward
    assert len(products) >= 2 * 24
    assert set(re.findall(r"\.globl\s+(\w+)", text)) == {"pack", "share"}


def test_neon_as_an_object(arm):
    (text, _) = ir_of("gru", arm, 32, 37)
    code = targets.object_code(text, arm)
    assert code[:4] == b"\x7fELF"
    assert int.from_bytes(code[18:20], "little") == 183  # EM_AARCH64, in ELF's list of machines


def loops(text: str) -> list[list[str]]:
    """The instructions of each innermost loop of assembly for x86: from a label to its jump."""
    found = []
    for label, body in re.findall(r"^(\.LBB\w+):[^\n]*\n((?:\t[^\n]*\n)*)", text, re.MULTILINE):
        lines = [line.strip() for line in body.splitlines()]
        jumps = [k for k, line in enumerate(lines) if re.fullmatch(rf"j\w+\s+{label}", line)]
        if jumps:
            found.append(lines[: jumps[0]])
    return found


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_sums_stay_in_registers(cell, target):
    """The loop over an operand puts no vector on the stack, as a tile that is too large would."""
    products = [
        body
        for body in loops(assembly_of(cell, target, 32, 64))
        if sum("fmadd" in line or "mulps" in line for line in body) >= target.accumulators // 2
        and not any("div" in line for line in body)  # the equations may use the stack
    ]
    assert len(products) > 5
    for body in products:
        assert not [line for line in body if re.search(r"mov\w+\s+%[xyz]mm\d+, .*%rsp", line)]


@pytest.mark.parametrize(
    ("features", "vector_bytes", "accumulators"),
    [
        ({"avx512f": True, "avx2": True, "fma": True}, 64, 24),
        ({"avx512f": False, "avx2": True, "fma": True}, 32, 12),
        ({"avx2": True, "fma": False}, 16, 9),  # wide products need both
        ({"avx": True, "fma": True}, 16, 9),
        ({"sse2": True}, 16, 9),
        ({"neon": True}, 16, 24),
        ({"neon": True, "sve": True}, 16, 24),
        ({}, 16, 9),
    ],
    ids=str,
)
def test_the_choice_by_features(features, vector_bytes, accumulators):
    found = target_for("some", features)
    assert (found.cpu, found.triple) == ("some", "")
    assert (found.vector_bytes, found.accumulators) == (vector_bytes, accumulators)
    assert found.form(32).lanes * 4 == found.form(64).lanes * 8 == vector_bytes
    for name, there in features.items():
        assert f"{'+' if there else '-'}{name}" in found.features.split(",")


def test_whole_vectors_are_asked_for():
    assert target_for("some", {"avx512f": True}).features.endswith("-prefer-256-bit")


def test_the_order_of_features_does_not_matter():
    one = target_for("some", {"avx2": True, "fma": True})
    assert one == target_for("some", {"fma": True, "avx2": True})


def test_the_host_is_what_llvm_says(monkeypatch):
    """`host` asks LLVM and lets `target_for` choose."""
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "some")
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: {"avx2": True, "fma": True})
    assert targets.host.__wrapped__() == target_for("some", {"avx2": True, "fma": True})

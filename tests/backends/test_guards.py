"""Kernels touch their own memory and nothing else, at any size, on any number of threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from recurra import Recurrent
from recurra.backends.backend import Backend
from recurra.backends.cpu import Cpu, memory, run
from recurra.backends.reference import Reference
from support import huge
from support.fused import everything, fused_on, layer_of, plain, running_on
from support.guarded import forget_plans
from support.guarded_cells import compare, driven
from support.rooms import instead
from support.targets import runnable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="guard pages as Linux has them")
TESTS = Path(__file__).parent.parent


def program(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A Python program that may end by touching a guard page."""
    path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.mark.parametrize("target", ["avx512", "avx2", "sse"])
def test_nothing_outside_is_touched(target):
    """Outputs, states and gradients equal the reference, with a guard page beside every tensor."""
    if runnable()[target] is None:
        pytest.skip(f"this processor has no {target}")
    done = program("-m", "support.guarded_cells", target)
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"ended by {done.returncode} in {last}: {done.stderr[-2000:]}"
    assert int(last[0].removeprefix("cases: ")) > 60


@pytest.mark.parametrize("defect", ["store", "load"])
def test_kernels_that_go_too_far_are_caught(defect):
    """A deliberate defect: a partial vector is read or written as if it were whole."""
    target = next(name for name, there in runnable().items() if there is not None)
    done = program("-m", "support.guarded_cells", target, defect)
    assert done.returncode in (-signal.SIGSEGV, -signal.SIGBUS), done.stderr[-2000:]


TOUCH = """
import ctypes, os, sys
import torch
from support import guarded

def touch(layout, offset, write):
    value = guarded.empty((3, 5), torch.float64, layout)
    assert value.isnan().all()
    place = value[1].data_ptr() + 8 * offset
    if write:
        ctypes.memset(place, 0, 8)
    else:
        ctypes.string_at(place, 8)
    del value
    guarded.check()

for case in sys.argv[1:]:
    layout, offset, does = case.split(":")
    child = os.fork()
    if child == 0:
        sys.stderr = open(os.devnull, "w")
        touch(layout, int(offset), does == "write")
        os._exit(0)
    print(case, "passed" if os.waitpid(child, 0)[1] == 0 else "caught", flush=True)
"""
# layout, offset in elements from the middle one of three rows of 5, and what is done there
CAUGHT = ("end:10:read", "end:10:write", "end:-6:write", "start:-6:read", "start:10:write")
CAUGHT += ("rows:5:read", "rows:-1:write")
PASSED = ("end:9:write", "start:0:write", "rows:4:write", "rows:-1:read")  # the last one sees NaN


def test_the_guards_see_it():
    done = program("-c", TOUCH, *CAUGHT, *PASSED)
    expected = [f"{case} caught" for case in CAUGHT] + [f"{case} passed" for case in PASSED]
    assert done.stdout.splitlines() == expected, done.stderr


@pytest.mark.parametrize(("rows", "trained"), [(2, False), (1, True)])
def test_addresses_beyond_31_bits(rows, trained, monkeypatch):
    """Offsets in elements exceed 2**31 from the second step on, for reads, states and results.

    Products of all steps need rows that are equally far apart: with gradients there is one row.
    """
    layer = Recurrent(driven, 3, 17, dtype=torch.float32)
    x = torch.randn(3, rows, 3)
    value = torch.randn(3, rows, 17)
    expected = driven_call(layer, x, value, trained, Reference())
    strides: list[int] = []

    def room(like: torch.Tensor, *shape: int) -> torch.Tensor:
        new = like.new_empty(shape)
        return huge.sequence(new) if len(shape) == 3 else new

    original = run.add_table

    def spied(sheet, machine, batch, given, steps):
        strides.extend(span.strides[0] for span, _ in given.reads.values())
        strides.extend(span.strides[0] for span, _ in given.states)
        strides.extend(span.strides[0] for span in given.stores.values())
        return original(sheet, machine, batch, given, steps)

    monkeypatch.setattr(run, "add_table", spied)
    monkeypatch.setattr(memory, "empty", instead(room))
    forget_plans()
    found = driven_call(layer, x, huge.sequence(value), trained, Cpu(least=0))
    compare("driven", found, expected)
    forget_plans()
    assert sum(stride >= 2**31 for stride in strides) > len(strides) // 2


def driven_call(
    layer: Recurrent, x: torch.Tensor, value: torch.Tensor, trained: bool, backend: Backend
) -> dict[str, torch.Tensor]:
    """What a call gives on a backend, gradients too if it trains."""
    inputs = {"scale": value, "push": value}
    with running_on(backend):
        if trained:
            return everything(layer, x, inputs=inputs)
        with torch.no_grad():
            output, last = layer(x, inputs=inputs)
    return {"output": output, "state 0": last}


def test_two_python_threads(monkeypatch):
    """Two modules run forward and backward at once, compiling at once too."""
    layers = [layer_of("lstm", 5, 40, torch.float64), layer_of("gru", 5, 40, torch.float64)]
    x = torch.randn(9, 6, 5, dtype=torch.float64)
    expected = [plain(layer, x) for layer in layers]

    def work(number: int) -> dict[str, torch.Tensor]:
        return everything(layers[number % 2], x)

    with running_on(Cpu(least=0)), ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, range(12)))
    for number, mine in enumerate(found):
        compare(f"call {number}", mine, expected[number % 2])
        assert all(torch.equal(mine[key], found[number % 2][key]) for key in mine)


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before"])
def test_one_result_for_every_number_of_threads(cell):
    """Outputs, states and gradients are the same to the bit on 1, 2 and 4 threads."""
    layer = layer_of(cell, 24, 72, torch.float32)
    x = torch.randn(7, 13, 24)
    found = fused_on((1, 2, 4), layer, x)
    for other in found[1:]:
        different = [name for name in other if not torch.equal(found[0][name], other[name])]
        assert not different

"""Compiled code on disk: used when whole, compiled again when not, harmless where it cannot be."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from recurra import Recurrent
from recurra.backends import choice
from recurra.backends.cpu import Cpu, cache, compiled, parts, product, target, threads
from recurra.backends.reference import Reference
from support.guarded import forget_plans

PROGRAM = """
import sys, torch
from recurra import Recurrent
from recurra.backends import choice
from recurra.backends.cpu import Cpu, target

made, original = [], target.object_code
target.object_code = lambda *a: made.append(1) or original(*a)
choice.BACKENDS = (Cpu(least=0),)
torch.manual_seed(1)
layer = Recurrent(sys.argv[1], 3, 18)
x = torch.randn(4, 5, 3)
with torch.set_grad_enabled(sys.argv[2] == "trains"):
    output, _ = layer(x)
    if output.requires_grad:
        output.square().sum().backward()
numbers = [output.detach(), *(p.grad for p in layer.parameters() if p.grad is not None)]
print(len(made), *(number.double().sum().item() for number in numbers))
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that RECURRA_CACHE names and that is not there yet."""
    found = tmp_path / "kernels"
    monkeypatch.setenv("RECURRA_CACHE", str(found))
    cache._said.clear()
    return found


@pytest.fixture(autouse=True, scope="module")
def products() -> None:
    """What all graphs share is compiled before anything is counted."""
    product.compiled(32)
    parts.in_turn()
    threads.team()
    run()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each compilation."""
    found: list[int] = []
    original = target.object_code

    def counted(text: str, goal: target.Target) -> bytes:
        found.append(1)
        return original(text, goal)

    monkeypatch.setattr(target, "object_code", counted)
    return found


def start(cell: str = "gru", does: str = "runs") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, cell, does], stdout=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen[str]) -> list[str]:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return out.split()


def forget() -> None:
    """Empty the caches in memory."""
    compiled.compiled.cache_clear()
    forget_plans()


def run() -> torch.Tensor:
    """What a fresh layer gives for fixed numbers, by kernels."""
    forget()
    torch.manual_seed(1)
    layer = Recurrent("gru", 3, 18)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "BACKENDS", (Cpu(least=0),))
        output, _ = layer(torch.randn(4, 5, 3))
    return output


def expected() -> torch.Tensor:
    torch.manual_seed(1)
    layer = Recurrent("gru", 3, 18)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "BACKENDS", (Reference(),))
        output, _ = layer(torch.randn(4, 5, 3))
    return output


def entry(place: Path) -> Path:
    (found,) = place.iterdir()
    return found


def test_a_second_process_loads_what_the_first_compiled(place):
    first = ended(start())
    written = {path.name: path.read_bytes() for path in place.iterdir()}
    second = ended(start())
    assert (int(first[0]), int(second[0])) == (len(written), 0)
    # The graph and what it shares with others (sums of products, packing, the barrier); large
    # products, parts in turn, what members of a team call.
    assert len(written) == 7
    assert first[1:] == second[1:]
    assert {path.name: path.read_bytes() for path in place.iterdir()} == written


def test_no_folder_no_files(place, made, monkeypatch):
    for value in ("", None):
        if value is None:
            monkeypatch.delenv("RECURRA_CACHE")
        else:
            monkeypatch.setenv("RECURRA_CACHE", value)
        assert cache.folder() is None
        run()
    assert len(made) == 2
    assert not place.exists()


def test_the_same_text_in_every_process(place):
    """The order of a set of expressions follows from addresses, which differ in each process."""
    # Forward, backward, the sums of products of each, packing, the barrier; large products, sums
    # of rows, parts in turn, what members of a team call.
    assert ended(start("lstm_layernorm", "trains"))[0] == "10"
    later = [start("lstm_layernorm", "trains") for _ in range(3)]
    assert [ended(process)[0] for process in later] == ["0", "0", "0"]


def damaged(whole: bytes) -> dict[str, bytes]:
    """Every kind of damage: one byte changed in each region, cut anywhere, grown, exchanged."""
    at = {
        "magic": 3,
        "version": len(cache._MAGIC) - 2,
        "key": len(cache._MAGIC) + 1,
        "digest": len(cache._MAGIC) + cache._DIGEST + 1,
        "first": len(cache._MAGIC) + 2 * cache._DIGEST,
        "middle": len(whole) // 2,
        "last": len(whole) - 1,
    }
    found = {k: whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :] for k, n in at.items()}
    cuts = (0, 1, at["key"], at["digest"], at["first"], at["middle"], at["last"])
    found |= {f"cut_{n}": whole[:n] for n in cuts}
    return found | {"grown": whole + b"\0", "other": b"#!/bin/sh\n" * 100}


def test_what_is_damaged_is_compiled_again(place, made):
    right = run()
    assert torch.allclose(right, expected(), atol=1e-6)
    path = entry(place)
    whole = path.read_bytes()
    for name, content in damaged(whole).items():
        path.write_bytes(content)
        made.clear()
        assert torch.equal(run(), right), name
        assert made == [1], name
        assert path.read_bytes() == whole, name
        assert torch.equal(run(), right), name
        assert made == [1], f"{name}: the repaired file is not used"


def test_every_byte_is_guarded(place):
    """Flip each byte in turn, without a compiler: none is accepted."""
    whole = b""
    for content in (b"", b"code"):
        shown = cache.fetch(["a"], lambda content=content: content)
        assert shown == content
        path = entry(place)
        whole = path.read_bytes()
        for n in range(len(whole)):
            path.write_bytes(whole[:n] + bytes([whole[n] ^ 0x80]) + whole[n + 1 :])
            assert cache.fetch(["a"], lambda: b"again") == b"again", n
        path.unlink()
    assert whole.endswith(b"code")


def test_an_entry_under_another_name_is_not_taken(place):
    cache.fetch(["a"], lambda: b"code of a")
    own = entry(place)
    cache.fetch(["b"], lambda: b"code of b")
    (other,) = (path for path in place.iterdir() if path != own)
    os.replace(other, own)
    assert cache.fetch(["a"], lambda: b"again") == b"again"
    assert cache.fetch(["a", "b"], lambda: b"1") == b"1"
    assert cache.fetch(["ab", ""], lambda: b"2") == b"2"  # parts are not run together


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may chown")
def test_a_file_of_another_user_is_not_run(place):
    cache.fetch(["a"], lambda: b"planted")
    os.chown(entry(place), 12345, 12345)
    assert cache.fetch(["a"], lambda: b"ours") == b"ours"
    assert cache.fetch(["a"], lambda: b"again") == b"ours"


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def refused(caplog: pytest.LogCaptureFixture, made: list[int]) -> None:
    """Both calls compile and are right, and one sentence is said."""
    with caplog.at_level(logging.INFO, "recurra"):
        first, second = run(), run()
    assert torch.equal(first, second)
    assert torch.allclose(first, expected(), atol=1e-6)
    assert len(made) == 2
    (line,) = said(caplog)
    assert "RECURRA_CACHE" in line


def test_a_directory_in_the_place_of_an_entry(place, made, caplog):
    run()
    path = entry(place)
    path.unlink()
    path.mkdir()
    made.clear()
    refused(caplog, made)
    assert [p.name for p in place.iterdir()] == [path.name]  # nothing half-written stays


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_in_the_place_of_an_entry_does_not_hang(place, made):
    right = run()
    path = entry(place)
    path.unlink()
    os.mkfifo(path)
    assert torch.equal(run(), right)
    assert len(made) == 2


def test_a_file_in_the_place_of_the_folder(place, made, caplog):
    place.write_text("not a folder")
    refused(caplog, made)
    assert place.read_text() == "not a folder"


def test_a_folder_that_cannot_be_written(place, made, caplog, monkeypatch):
    if not hasattr(os, "geteuid") or os.geteuid() == 0:  # rights do not bind root; /proc does
        if not Path("/proc").is_dir():
            pytest.skip("needs a folder that even root cannot write")
        monkeypatch.setenv("RECURRA_CACHE", "/proc")
        refused(caplog, made)
        return
    place.mkdir(mode=0o500)
    refused(caplog, made)
    assert not list(place.iterdir())


FULL = """
import logging, resource, sys
sys.argv = ["-c", "gru", "trains"]
logging.basicConfig(format="%(message)s")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of resources")
def test_a_full_disk(place):
    command = [sys.executable, "-c", FULL + PROGRAM]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert int(done.stdout.split()[0]) >= 2
    assert done.stderr.count("RECURRA_CACHE") == 1
    assert not list(place.iterdir())


def test_what_decides_the_code_decides_the_entry(place):
    one = target.target_for("x86-64", {"sse2": True})
    others = [
        target.target_for("x86-64-v3", {"sse2": True}),
        target.target_for("x86-64", {"sse2": False}),
        target.target_for("x86-64", {"sse2": True}, "x86_64-unknown-freebsd"),
    ]
    assert len({one.identity, *(other.identity for other in others)}) == 4


def test_the_versions_and_the_passes_are_part_of_the_identity(monkeypatch):
    changes: list[Callable[[pytest.MonkeyPatch], None]] = [
        lambda patch: patch.setattr(target.llvmlite, "__version__", "0"),
        lambda patch: patch.setattr(target.llvm, "llvm_version_info", (1, 2, 3)),
        lambda patch: patch.setattr(target, "_EMISSION", 0),
        lambda patch: patch.setitem(target._PASSES, "loop_unrolling", True),
    ]
    found = {target.host().identity}
    for change in changes:
        with pytest.MonkeyPatch.context() as patch:
            change(patch)
            found.add(target.host().identity)
    assert len(found) == 1 + len(changes)


def test_two_processes_at_once(place):
    both = [ended(process) for process in [start(), start()]]
    assert both[0][1:] == both[1][1:]
    assert all(path.suffix == ".kernel" for path in place.iterdir())
    assert ended(start()) == ["0", *both[0][1:]]


def test_many_writers_and_readers_of_one_entry(place):
    """Threads write, delete and read the same entry: each gets the whole content."""
    content = os.urandom(200_000)
    assert cache.fetch(["a"], lambda: content) == content
    path = entry(place)

    def work(number: int) -> bytes:
        if number % 3 == 0:
            path.unlink(missing_ok=True)
        return cache.fetch(["a"], lambda: content)

    with ThreadPoolExecutor(4) as pool:
        assert all(found == content for found in pool.map(work, range(60)))
    assert entry(place).suffix == ".kernel"

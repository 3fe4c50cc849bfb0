"""How these tests call the command line: in this process, or as a program of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from recurra.cli.main import main

_THREADS = torch.get_num_threads()


@dataclass(frozen=True)
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture(autouse=True)
def _own_threads() -> Iterator[None]:
    """Give other tests their threads back: --threads holds for the whole process."""
    yield
    torch.set_num_threads(_THREADS)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line in this process."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


def command(*arguments: object) -> list[str]:
    """The words that start the program."""
    return [sys.executable, "-m", "recurra", *(str(argument) for argument in arguments)]


def environment(**more: str) -> dict[str, str]:
    """The environment of the program: one thread, so that tests side by side do not wait."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80", "PYTHONUTF8": "1", **more}


@pytest.fixture
def program() -> Call:
    """Run the program in a process of its own."""

    def run(*arguments: object, text: str | None = None, **more: str) -> Ended:
        done = subprocess.run(
            command(*arguments),
            input=text,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=120,
            env=environment(**more),
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the program and let it run; at the end of the test it is killed."""
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            env=environment(),
            # What runs in the background ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


TEXT = "The quick brown fox jumps over the lazy dog.\nPack my box with five dozen jugs.\n" * 30
TINY = ("--hidden", 12, "--layers", 1, "--seq-len", 20, "--batch-size", 4)
TINY += ("--device", "cpu", "--threads", 1)


@pytest.fixture(scope="session")
def tiny() -> list[str]:
    """Options of a model that trains in no time."""
    return [str(word) for word in TINY]


@pytest.fixture(scope="session")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small text."""
    path = tmp_path_factory.mktemp("text") / "book.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of one epoch. Tests that change it copy it first."""
    run = tmp_path_factory.mktemp("runs") / "book"
    assert main([str(a) for a in ("train", "text", book, "-o", run, *TINY, "--epochs", 1)]) == 0
    return run

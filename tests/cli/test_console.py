"""Errors, warnings and readers that go away."""

from __future__ import annotations

import errno
import gc
import io
import json
import os
import signal
import warnings

import pytest
import typer

from recurra import errors
from recurra.cli import console
from recurra.cli.output import print_json


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (errors.RunError("a"), 1, "recurra: error: a\n"),
        (errors.UsageError("b"), 2, "recurra: error: b\n"),
        (errors.DataError("c"), 3, "recurra: error: c\n"),
        (errors.DivergedError("d"), 4, "recurra: error: d\n"),
        (errors.Interrupted("saved", 2), 130, "recurra: saved\n"),
        (errors.Interrupted("saved", 15), 143, "recurra: saved\n"),
        (KeyboardInterrupt(), 130, "recurra: interrupted\n"),
        (typer.BadParameter("no number"), 2, "recurra: error: invalid value: no number.\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "recurra: error: No space left"),
        (MemoryError(), 1, "recurra: error: out of memory."),
        (
            RuntimeError("[enforce fail] can't allocate memory: you tried"),
            1,
            "recurra: error: out of",
        ),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_an_error_becomes_a_code_and_a_line(
    capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    assert console.explain(error) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == (1 if message else 0)


def test_a_process_whose_companions_are_gone_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:1")
    with pytest.raises(RuntimeError):
        console.explain(lost)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert console.explain(lost) == 1
    assert capsys.readouterr().err == "recurra: process 1 ends because another one did.\n"


def test_ctrl_c_while_importing_is_heeded_at_the_end() -> None:
    done: list[str] = []

    def import_slowly() -> None:
        with console.importing():
            signal.raise_signal(signal.SIGINT)
            done.append("imported")

    with pytest.raises(KeyboardInterrupt):
        import_slowly()
    assert done == ["imported"]


@pytest.mark.parametrize("on", [True, False])
def test_no_garbage_is_sought_while_importing(on: bool) -> None:
    was_on = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        with console.importing():
            assert not gc.isenabled()
        assert gc.isenabled() is on
    finally:
        (gc.enable if was_on else gc.disable)()


def test_a_fault_of_recurra_itself_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        console.explain(ZeroDivisionError())


def test_a_warning_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with console.messages():
        warnings.simplefilter("always")
        warnings.warn("careful", UserWarning, stacklevel=1)
    assert capsys.readouterr().err == "recurra: warning: careful\n"


def test_work_goes_on_when_nobody_reads_its_progress() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w", buffering=1)
    patient = console.undeterred(stream)
    for _ in range(3):
        print("a line", file=patient, flush=True)
    assert not patient.isatty()
    assert patient.fileno() == writing
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_output_goes_through_while_it_is_read() -> None:
    kept = io.StringIO()
    print("a line", file=console.undeterred(kept), flush=True)
    assert kept.getvalue() == "a line\n"


def test_json_has_no_numbers_that_json_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"loss": float("nan"), "best": [float("inf"), 1.5], "text": "é"})
    found = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert found == {"loss": None, "best": [None, 1.5], "text": "é"}

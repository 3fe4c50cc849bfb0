"""What is said while training runs: lines, the live bar, and which is chosen; signals."""

from __future__ import annotations

import io
import os
import signal
import threading
from pathlib import Path

import pytest
from tiny_task import TinyTask

from recurra.training import Reporter, TrainingOptions, fit
from recurra.training import progress as progress_module
from recurra.training.live import LiveReporter
from recurra.training.progress import LineReporter, reporter_for
from recurra.training.signals import BrokenOff, Signals


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def said_by(reporter: Reporter, stream: io.StringIO, out: Path, **options: object) -> str:
    fit(TinyTask(), out, TrainingOptions(epochs=1, **options), reporter=reporter)
    return stream.getvalue()


def test_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "SECONDS_BETWEEN_LINES", 0.0)
    stream = io.StringIO()
    lines = said_by(LineReporter(stream), stream, tmp_path / "run").splitlines()
    assert lines[0].split() == ["symbols", "12"]
    assert "bits per char" in lines[1]
    assert "characters/s" in lines[1]
    held_out = next(line for line in lines if "held out" in line)
    assert held_out.split()[:4] == ["step", "11", "epoch", "1.00"]
    assert "best so far" in held_out
    assert lines[-3:-1] == ["    | abc", "    | [red]def"]
    assert lines[-1] == f"finished (epochs): {tmp_path / 'run'}"
    again = io.StringIO()
    options = TrainingOptions(epochs=2)
    fit(TinyTask(), tmp_path / "run", options, resume=True, reporter=LineReporter(again))
    assert "after step 11" in again.getvalue()


def test_live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    reporter = reporter_for(stream)
    assert isinstance(reporter, LiveReporter)
    said = said_by(reporter, stream, tmp_path / "run", minutes=5)
    assert "[red]def" in said
    assert "held out" in said
    assert "\x1b[3" not in said, "NO_COLOR"


def test_lines_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(reporter_for(io.StringIO())) is LineReporter
    monkeypatch.setenv("TERM", "dumb")
    assert type(reporter_for(Terminal())) is LineReporter


def test_every_start_is_closed(tmp_path: Path) -> None:
    heard = []

    class Heard(Reporter):
        def started(self, session: object) -> None:
            heard.append("started")

        def stepped(self, progress: object) -> None:
            raise ValueError

        def closed(self) -> None:
            heard.append("closed")

    with pytest.raises(ValueError):  # noqa: PT011
        fit(TinyTask(), tmp_path / "run", TrainingOptions(epochs=1), reporter=Heard())
    assert heard == ["started", "closed"]


def test_signals_are_noted_and_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals().watched() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGTERM
        with pytest.raises(BrokenOff), signals.breaking():
            pass
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_trains_without_signals(tmp_path: Path) -> None:
    ends = []
    options = TrainingOptions(epochs=1)
    work = threading.Thread(
        target=lambda: ends.append(fit(TinyTask(), tmp_path / "run", options).ended)
    )
    work.start()
    work.join()
    assert ends == ["epochs"]

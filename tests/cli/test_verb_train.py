"""`recurra train text`: a run, its resume, signals, divergence."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from recurra.training.config import RunConfig
from recurra.training.run_folder import RunFolder


def validations(run: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [record for record in records if record["split"] == "validation"]


def test_a_run_holds_what_the_next_command_needs(trained: Path, book: Path) -> None:
    assert (trained / "model.safetensors").exists()
    config = RunConfig.load(trained / "config.yaml")
    assert Path(str(config.data.source)).name == book.name
    assert config.model["hidden"] == 12
    assert config.training.epochs == 1
    record = validations(trained)[-1]
    assert {"step", "seconds", "split", "bits_per_char"} <= record.keys()


def test_progress_goes_to_stderr(program: Any, book: Path, tmp_path: Path, tiny: list[str]) -> None:
    ended = program("train", "text", book, "-o", tmp_path / "run", *tiny, "--epochs", 1)
    assert ended.code == 0
    assert ended.out == ""
    assert "bits per char" in ended.err
    assert "\x1b" not in ended.err


def test_the_text_may_come_from_stdin(
    program: Any, book: Path, trained: Path, tmp_path: Path, tiny: list[str]
) -> None:
    run = tmp_path / "run"
    words = ("train", "text", "-", "-o", run, *tiny, "--epochs", 1)
    ended = program(*words, text=book.read_text(encoding="utf-8"))
    assert ended.code == 0, ended.err
    figures = [[r["bits_per_char"] for r in validations(path)] for path in (run, trained)]
    assert figures[0] == figures[1]


def test_a_resume_needs_no_file_and_ends_where_an_unbroken_run_does(
    call: Any, book: Path, trained: Path, tmp_path: Path, tiny: list[str]
) -> None:
    resumed, unbroken = tmp_path / "resumed", tmp_path / "unbroken"
    shutil.copytree(trained, resumed)
    assert call("train", "text", "-o", resumed, "--resume", "--epochs", 2).code == 0
    assert call("train", "text", book, "-o", unbroken, *tiny, "--epochs", 2).code == 0
    for name in ("model.safetensors",):
        assert (resumed / name).read_bytes() == (unbroken / name).read_bytes()
    assert validations(resumed)[-1]["bits_per_char"] == validations(unbroken)[-1]["bits_per_char"]


def test_overwrite_replaces_the_run_and_nothing_else(
    call: Any, book: Path, trained: Path, tmp_path: Path, tiny: list[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "notes.txt").write_text("mine")
    words = ("train", "text", book, "-o", run, *tiny, "--epochs", 1, "--overwrite")
    assert call(*words, "--hidden", 5).code == 0
    assert RunFolder(run).load_config().model["hidden"] == 5
    assert (run / "notes.txt").read_text() == "mine"


def test_a_configuration_file_makes_the_same_run(
    call: Any, book: Path, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert call("train", "text", book, "-o", run, "-c", trained / "config.yaml").code == 0
    assert RunFolder(run).load_config() == RunFolder(trained).load_config()
    assert (run / "model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until `path` is there."""
    end = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_stops(
    start: Any, call: Any, book: Path, tmp_path: Path, tiny: list[str], number: int, code: int
) -> None:
    run = tmp_path / "run"
    process = start("train", "text", book, "-o", run, *tiny, "--minutes", 5, "--eval-every", 5)
    wait_for(run / "model.safetensors", process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert out == ""
    assert "Traceback" not in err
    assert "saved" in err.splitlines()[-1]
    assert call("info", run).code == 0
    assert call("train", "text", "-o", run, "--resume", "--epochs", 1).code == 0


@pytest.mark.skipif(os.name == "nt", reason="a POSIX pipe")
def test_training_goes_on_when_nobody_reads_its_progress(
    start: Any, book: Path, tmp_path: Path, tiny: list[str]
) -> None:
    run = tmp_path / "run"
    process = start("train", "text", book, "-o", run, *tiny, "--epochs", 2)
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert validations(run)[-1]["epoch"] == 2


def test_divergence_ends_with_4_and_keeps_the_last_checkpoint(
    call: Any, book: Path, tmp_path: Path, tiny: list[str]
) -> None:
    run = tmp_path / "run"
    words = ("train", "text", book, "-o", run, *tiny, "--epochs", 1)
    ended = call(*words, "--lr", 1e38, "--clip-norm", "none")
    assert ended.code == 4
    assert "--lr" in ended.err
    assert call("info", run).code == 0
    assert call("train", "text", "-o", run, "--resume", "--lr", 0.002).code == 0

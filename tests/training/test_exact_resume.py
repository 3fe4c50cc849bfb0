"""A run that is killed and resumed is, to the bit, the run that was not."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_task import TinyTask

from recurra.errors import Interrupted
from recurra.training import Reporter, TrainingOptions, fit
from recurra.training.checkpoint import load

PROGRAM = Path(__file__).with_name("train_tiny.py")
# 11 steps an epoch; dropout 0.3; evaluations within and at the end of an epoch; a plateau schedule.
OPTIONS: dict[str, Any] = {
    "epochs": 3,
    "lr": 0.05,
    "schedule": "plateau",
    "warmup_steps": 3,
    "eval_every": 4,
    "save_every": 3,
}


def start(out: Path, *pairs: str, **options: Any) -> subprocess.Popen[str]:
    arguments = [str(out), json.dumps({**OPTIONS, **options}), *pairs]
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(PROGRAM), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def untimed(value: Any) -> Any:
    """The value without what a clock wrote into it."""
    if isinstance(value, dict):
        return {key: untimed(item) for key, item in value.items() if key != "seconds"}
    return value


def assert_same(a: Any, b: Any, path: str = "") -> None:
    assert type(a) is type(b), path
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype, path
        assert torch.equal(a, b), path
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), path
        for key in a:
            assert_same(a[key], b[key], f"{path}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{path}/{index}")
    else:
        assert a == b, path


def assert_same_run(run: Path, reference: Path) -> None:
    checkpoints = [untimed(load(r / "checkpoints/last.safetensors")) for r in (run, reference)]
    assert_same(*checkpoints)
    weights = [(r / "model.safetensors").read_bytes() for r in (run, reference)]
    assert weights[0] == weights[1]
    lines = [(r / "metrics.jsonl").read_text().splitlines() for r in (run, reference)]
    assert_same(*[[untimed(json.loads(line)) for line in part] for part in lines])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "run"
    fit(TinyTask(), out, TrainingOptions(**OPTIONS))
    assert load(out / "checkpoints/last.safetensors")["schedule"]["scale"] < 1, "plateau was tested"
    return out


def test_killed_twice_at_random_steps(tmp_path: Path, reference: Path) -> None:
    first, second = sorted(random.SystemRandom().sample(range(1, 33), 2))
    print(f"killed after steps {first} and {second}")
    assert ended(start(tmp_path / "run", f"kill={first}"))[0] == -signal.SIGKILL
    assert ended(start(tmp_path / "run", f"kill={second}", "resume=1"))[0] == -signal.SIGKILL
    assert ended(start(tmp_path / "run", "resume=1")) == (0, "")
    assert_same_run(tmp_path / "run", reference)


def test_killed_while_a_checkpoint_is_half_written(tmp_path: Path, reference: Path) -> None:
    assert ended(start(tmp_path / "run", "torn=21"))[0] == -signal.SIGKILL
    assert (tmp_path / "run/checkpoints/.last.safetensors.tmp").exists()
    assert ended(start(tmp_path / "run", "resume=1")) == (0, "")
    assert_same_run(tmp_path / "run", reference)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_ends_with_its_code(
    tmp_path: Path, reference: Path, number: signal.Signals
) -> None:
    process = start(tmp_path / "run", "slow=0.05")
    assert process.stdout is not None
    while int(process.stdout.readline()) < 5:
        pass
    time.sleep(random.uniform(0, 0.1))
    process.send_signal(number)
    code, said = ended(process)
    assert code == 128 + number
    assert number.name in said
    assert "--resume" in said
    fit(TinyTask(), tmp_path / "run", TrainingOptions(**OPTIONS), resume=True)
    assert_same_run(tmp_path / "run", reference)


def test_stopped_again_and_again(tmp_path: Path, reference: Path) -> None:
    out, options = tmp_path / "run", TrainingOptions(**OPTIONS)
    stops = 0
    while stops < 40:
        with contextlib.suppress(Interrupted):
            fit(TinyTask(), out, options, resume=out.exists(), reporter=_Stopper())
            break
        stops += 1
    assert 10 < stops < 40
    assert_same_run(tmp_path / "run", reference)


def test_signal_breaks_off_an_evaluation(tmp_path: Path, reference: Path) -> None:
    task = TinyTask()
    measure = task.evaluate

    def interrupted(model: Any, device: Any) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return measure(model, device)

    task.evaluate = interrupted  # type: ignore[method-assign]
    with pytest.raises(Interrupted, match="SIGINT after step 4"):
        fit(task, tmp_path / "run", TrainingOptions(**OPTIONS))
    assert not (tmp_path / "run/metrics.jsonl").exists()
    fit(TinyTask(), tmp_path / "run", TrainingOptions(**OPTIONS), resume=True)
    assert_same_run(tmp_path / "run", reference)


def test_killed_before_the_first_checkpoint(tmp_path: Path, reference: Path) -> None:
    fit(TinyTask(), tmp_path / "run", TrainingOptions(**{**OPTIONS, "epochs": 1}))
    for name in ("checkpoints/last.safetensors", "metrics.jsonl", "model.safetensors"):
        (tmp_path / "run" / name).unlink()
    fit(TinyTask(), tmp_path / "run", TrainingOptions(**OPTIONS), resume=True)
    assert_same_run(tmp_path / "run", reference)


def test_resume_of_a_finished_run_adds_nothing_and_more_epochs_go_on(
    tmp_path: Path, reference: Path
) -> None:
    short = {**OPTIONS, "epochs": 2}
    out = tmp_path / "run"
    fit(TinyTask(), out, TrainingOptions(**{**short, "eval_every": 11}))
    before = (out / "metrics.jsonl").read_text()
    fit(TinyTask(), out, TrainingOptions(**{**short, "eval_every": 11}), resume=True)
    assert (out / "metrics.jsonl").read_text() == before
    history = fit(TinyTask(), out, TrainingOptions(**{**OPTIONS, "eval_every": 11}), resume=True)
    assert [record["step"] for record in history.validation] == [11, 22, 33]


class _Stopper(Reporter):
    """Sends SIGINT to this process after every step."""

    def stepped(self, progress: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)

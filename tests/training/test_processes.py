"""Two processes under torchrun (gloo) train as one process does, to rounding."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_task import TinyTask

from recurra.errors import UsageError
from recurra.training import TrainingOptions, fit
from recurra.training.checkpoint import load
from recurra.training.processes import group

PROGRAM = Path(__file__).with_name("train_tiny.py")
OPTIONS: dict[str, Any] = {"epochs": 2, "lr": 0.01, "eval_every": 4, "save_every": 5}


def torchrun(out: Path, *pairs: str, **options: Any) -> subprocess.Popen[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    arguments = [str(PROGRAM), str(out), json.dumps({**OPTIONS, **options}), *pairs]
    return subprocess.Popen(
        [*launcher, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, said = process.communicate(timeout=180)
    return process.returncode, said


def assert_close(run: Path, reference: Path) -> None:
    trees = [load(folder / "checkpoints/last.safetensors") for folder in (run, reference)]
    for part in ("model", "optimizer", "state"):
        torch.testing.assert_close(trees[0][part], trees[1][part], rtol=1e-4, atol=1e-6)
    lines = [(folder / "metrics.jsonl").read_text().splitlines() for folder in (run, reference)]
    assert len(lines[0]) == len(lines[1])
    for a, b in zip(*([json.loads(line) for line in part] for part in lines), strict=True):
        assert (a["step"], a["split"]) == (b["step"], b["split"])
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "run"
    fit(TinyTask(dropout=0.0), out, TrainingOptions(**OPTIONS))
    return out


def test_two_processes_are_one(tmp_path: Path, reference: Path) -> None:
    code, said = ended(torchrun(tmp_path / "run", "dropout=0"))
    assert code == 0, said
    assert_close(tmp_path / "run", reference)


def test_killed_with_two_processes_resumed_with_two_then_one(
    tmp_path: Path, reference: Path
) -> None:
    out = tmp_path / "run"
    assert ended(torchrun(out, "dropout=0", "kill=8"))[0] != 0
    code, said = ended(torchrun(out, "dropout=0", "resume=1", epochs=1))
    assert code == 0, said
    assert load(out / "checkpoints/last.safetensors")["progress"]["step"] == 11
    fit(TinyTask(dropout=0.0), out, TrainingOptions(**{**OPTIONS, "epochs": 2}), resume=True)
    trees = [load(folder / "checkpoints/last.safetensors") for folder in (out, reference)]
    for name, value in trees[0]["model"].items():
        torch.testing.assert_close(value, trees[1]["model"][name], rtol=1e-4, atol=1e-6)


def test_two_processes_with_dropout_resume_to_the_bit(tmp_path: Path) -> None:
    assert ended(torchrun(tmp_path / "whole"))[0] == 0
    assert ended(torchrun(tmp_path / "killed", "kill=13"))[0] != 0
    assert ended(torchrun(tmp_path / "killed", "resume=1"))[0] == 0
    weights = [tmp_path / name / "model.safetensors" for name in ("whole", "killed")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    trees = [load(tmp_path / name / "checkpoints/last.safetensors") for name in ("whole", "killed")]
    assert torch.equal(trees[0]["random"]["torch"], trees[1]["random"]["torch"])
    assert not torch.equal(*trees[0]["random"]["torch"]), "each process has dropout of its own"


def test_a_signal_to_the_group_saves_once(tmp_path: Path) -> None:
    process = torchrun(tmp_path / "run", "dropout=0", "slow=0.05", epochs=1000)
    assert process.stdout is not None
    while int(process.stdout.readline()) < 5:
        pass
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = ended(process)
    step = load(tmp_path / "run/checkpoints/last.safetensors")["progress"]["step"]
    assert f"SIGTERM after step {step}; saved" in said


def test_a_mistake_is_told_once_and_without_a_traceback_of_ours(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    code, said = ended(torchrun(tmp_path))
    assert code != 0
    assert said.count("holds files, but no run") == 1
    assert "[rank" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_batch_that_cannot_be_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recurra.training import processes

    with group(TrainingOptions(device="cpu")) as accelerator:
        monkeypatch.setattr(type(accelerator), "num_processes", 3)
        with pytest.raises(UsageError, match=r"batch size 4 .* 3 processes. Take a multiple of 3"):
            processes.rows(4, accelerator)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"device": "cuda:99"}, "cuda:99"), ({"device": "cpu", "precision": "fp16"}, "fp16 needs")],
)
def test_what_is_not_on_this_machine(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message), group(TrainingOptions(**options)):
        pass

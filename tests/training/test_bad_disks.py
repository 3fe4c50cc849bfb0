"""Disks that are full, files that are damaged, folders that are something else."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_task import TinyTask

from recurra.errors import CheckpointError, RunError
from recurra.training import RunConfig, TrainingOptions, checkpoint, fit, metrics
from recurra.training.files import read_tensors, write_tensors, write_whole
from recurra.training.run_folder import RunFolder

PROGRAM = Path(__file__).with_name("train_tiny.py")


def disk_full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def files(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    fit(TinyTask(), tmp_path / "run", TrainingOptions(epochs=1))
    return tmp_path / "run"


def test_full_in_the_middle_of_a_checkpoint_keeps_the_old_one(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run / "checkpoints/last.safetensors"
    before, listed = path.read_bytes(), files(run)
    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(RunError, match=r"last.safetensors: No space left.*is kept.*--resume"):
        checkpoint.save(path, {"x": torch.ones(5)}, {})
    assert path.read_bytes() == before
    assert files(run) == listed


def test_a_limit_of_the_system_ends_training_without_harm(run: Path) -> None:
    path = run / "checkpoints/last.safetensors"
    before, limit = path.read_bytes(), path.stat().st_size // 2
    command = [sys.executable, str(PROGRAM), str(run), json.dumps({"epochs": 2}), "resume=1"]
    done = subprocess.run([*command, f"limit={limit}"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert path.read_bytes() == before
    assert not list(run.rglob("*.tmp"))
    assert fit(TinyTask(), run, TrainingOptions(epochs=2), resume=True).ended == "epochs"
    fit(TinyTask(), run.with_name("same"), TrainingOptions(epochs=2))
    assert (run / "model.safetensors").read_bytes() == (
        run.with_name("same") / "model.safetensors"
    ).read_bytes()


def test_full_before_a_run_begins_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TinyTask()
    task.save = disk_full  # type: ignore[method-assign]
    with pytest.raises(RunError, match="No space left"):
        fit(task, tmp_path / "run", TrainingOptions(epochs=1))
    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(RunError, match="No space left"):
        fit(TinyTask(), tmp_path / "run", TrainingOptions(epochs=1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("overwrite", [False, True])
def test_full_in_the_first_checkpoint_leaves_what_was_there(
    run: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    out = run if overwrite else run.with_name("new")
    before, real = {name: (run / name).read_bytes() for name in files(run)}, os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(target).name == "last.safetensors":
            disk_full()
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(RunError, match=r"cannot begin a run in .*: No space left.* try again") as e:
        fit(TinyTask(), out, TrainingOptions(epochs=1), overwrite=overwrite)
    assert "is kept" not in str(e.value)
    assert {name: (run / name).read_bytes() for name in files(run)} == before
    assert list(run.parent.iterdir()) == [run]
    monkeypatch.undo()
    fit(TinyTask(), out, TrainingOptions(epochs=1), overwrite=overwrite)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the folder"):
        fit(TinyTask(), tmp_path / "file" / "run", TrainingOptions(epochs=1))
    with pytest.raises(RunError, match="is a file"):
        fit(TinyTask(), tmp_path / "file", TrainingOptions(epochs=1))


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


def edit(content: bytes) -> bytes:
    return content.replace(b'\\"step\\", 11', b'\\"step\\", 12', 1)


@pytest.mark.parametrize("damage", [truncate, flip, edit, lambda c: b"", lambda c: b"\0" * 99])
def test_any_damage_to_a_checkpoint_is_noticed(run: Path, damage: Any) -> None:
    path = run / "checkpoints/last.safetensors"
    content = damage(path.read_bytes())
    assert content != path.read_bytes()
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"last.safetensors is damaged: .* --overwrite"):
        fit(TinyTask(), run, TrainingOptions(epochs=2), resume=True)
    assert path.read_bytes() == content


def test_a_checkpoint_that_is_none(run: Path) -> None:
    path = run / "checkpoints/last.safetensors"
    write_tensors(path, {"x": torch.ones(2)}, "no json")
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        checkpoint.load(path)
    path.unlink()
    with pytest.raises(CheckpointError, match="there is no"):
        fit(TinyTask(), run, TrainingOptions(epochs=2), resume=True)


def test_a_checkpoint_holds_any_tree(tmp_path: Path) -> None:
    shared = torch.arange(6.0).reshape(2, 3)
    tree = {
        "a": [1, 2.5, None, True, "x", float("inf")],
        3: (shared, shared.T, torch.tensor(1.0, dtype=torch.bfloat16), torch.zeros(0, 2)),
        "empty": {"dict": {}, "tuple": (), "list": []},
    }
    checkpoint.save(tmp_path / "c", tree, {})
    read = checkpoint.load(tmp_path / "c")
    assert read["a"] == tree["a"]
    assert read["empty"] == tree["empty"]
    for x, y in zip(read[3], tree[3], strict=True):  # type: ignore[call-overload]
        assert x.dtype == y.dtype
        assert torch.equal(x, y)
    with pytest.raises(TypeError, match="/x is a set"):
        checkpoint.save(tmp_path / "c", {"x": {1}}, {})
    assert read_tensors(tmp_path / "c")[0].keys() == {"/3/0", "/3/1", "/3/2", "/3/3"}


def test_metrics_are_trimmed_and_half_lines_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        metrics.append(path, {"step": step, "split": "train"})
    path.write_text(path.read_text() + '{"step": 4, "spl')
    metrics.trim(path, 2)
    assert [record["step"] for record in metrics.read(path)] == [1, 2]
    assert metrics.read(tmp_path / "none") == []
    with pytest.raises(RunError, match="cannot write"):
        metrics.append(tmp_path, {})


def test_another_folder_is_never_overwritten(tmp_path: Path) -> None:
    for content in ("{}", "task: text", "model: {}\nfoo: 1", ": :", "\xff"):
        (tmp_path / "config.yaml").write_text(content, encoding="latin-1")
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "tokens.bin").write_text("mine")
        with pytest.raises(RunError, match=r"holds files, but no run. Give a new folder"):
            fit(TinyTask(), tmp_path, TrainingOptions(epochs=1), overwrite=True)
        assert files(tmp_path) == {"config.yaml", "data/tokens.bin"}


def test_overwriting_removes_a_run_and_nothing_else(run: Path) -> None:
    (run / "notes.txt").write_text("mine")
    (run / "checkpoints" / "mine.safetensors").write_text("mine")
    (run / "data").mkdir()
    (run / "data" / "tokens.bin").write_text("old")
    kept = files(run) - {"data/tokens.bin"}
    fit(TinyTask(), run, TrainingOptions(epochs=1), overwrite=True)
    assert files(run) == kept


def test_a_draft_left_by_a_crash_is_no_obstacle(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    (folder.open_draft() / "data").mkdir()
    (folder.draft / "data" / "tokens.bin").write_text("half")
    fit(TinyTask(), folder.path, TrainingOptions(epochs=1))
    assert not folder.draft.exists()
    assert not (folder.data / "tokens.bin").exists()


def test_failing_before_the_run_begins_keeps_the_old_run(run: Path) -> None:
    before = {name: (run / name).read_bytes() for name in files(run)}
    task = TinyTask()
    task.build_model = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    with pytest.raises(ZeroDivisionError):
        fit(task, run, TrainingOptions(epochs=1), overwrite=True)
    assert {name: (run / name).read_bytes() for name in files(run)} == before


def test_the_draft_becomes_the_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.check_free()
    (folder.open_draft() / "data").mkdir()
    (folder.draft / "data" / "tokens.bin").write_text("new")
    folder.begin(RunConfig())
    assert files(folder.path) == {"config.yaml", "data/tokens.bin"}
    assert folder.load_config() == RunConfig()


def test_write_whole_replaces(tmp_path: Path) -> None:
    write_whole(tmp_path / "f", b"one")
    write_whole(tmp_path / "f", b"two")
    assert (tmp_path / "f").read_bytes() == b"two"
    with pytest.raises(RunError, match="No such file") as raised:
        write_whole(tmp_path / "none" / "f", b"")
    assert "is kept" not in str(raised.value)

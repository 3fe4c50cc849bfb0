"""Runs of the text task: from a file to a run, and from a run to text; what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from recurra.errors import CheckpointError, DataError, RunError, UnknownNameError, UsageError
from recurra.training import RunConfig, load, train_text
from recurra.training.checkpoint import load as load_checkpoint

TEXT = "the cat sat on the mat. a rat ate the oat.\n" * 30
MODEL = {"hidden": 16, "layers": 1, "embedding": 8}
TRAINING = {"batch_size": 4, "seq_len": 20, "epochs": 2, "lr": 0.02, "eval_every": 5}

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "book.txt"
    path.write_text(TEXT)
    return path


def config(source: Path | str | None, **sections: Any) -> RunConfig:
    data = {"source": None if source is None else str(source)}
    base = RunConfig(data=data, model=MODEL, training=TRAINING)
    return base.merged(sections)


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def run(tmp_path: Path, source: Path) -> Path:
    train_text(config(source), tmp_path / "run")
    return tmp_path / "run"


def test_a_run_holds_all_of_it(run: Path) -> None:
    assert files(run).keys() == {
        "config.yaml",
        "model.safetensors",
        "vocabulary.json",
        "metrics.jsonl",
        "checkpoints/last.safetensors",
        "data/tokens.bin",
    }
    assert "dropout: 0.2" in (run / "config.yaml").read_text(), "defaults of the model are resolved"


def test_loaded_it_generates_and_evaluates(run: Path) -> None:
    loaded = load(run)
    assert not loaded.model.training
    text = loaded.generate("the ", max_new=20, seed=1, temperature=0.5, top_k=5)
    assert len(text) == 20
    assert text == loaded.generate("the ", max_new=20, seed=1, temperature=0.5, top_k=5)
    scores = loaded.evaluate(TEXT)
    assert scores["bits_per_char"] < 4
    (run / "new.txt").write_text(TEXT)
    assert loaded.evaluate(file=run / "new.txt") == scores
    with pytest.raises(UsageError, match="either"):
        loaded.evaluate()
    with pytest.raises(UsageError, match="either"):
        loaded.evaluate("a", file="b")


def test_the_best_weights_are_loaded(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    best = min(line["bits_per_char"] for line in lines if line["split"] == "validation")
    assert load_checkpoint(run / "checkpoints/last.safetensors")["progress"]["best"] == best
    (run / "model.safetensors").unlink()
    assert load(run).evaluate(TEXT)["bits_per_char"] > 0, "before the first evaluation: the last"


def test_it_resumes_without_its_source(run: Path, source: Path, tmp_path: Path) -> None:
    changed = {"training": {"epochs": 3}}
    train_text(config(source, **changed), tmp_path / "whole")
    source.unlink()
    history = train_text(RunConfig.load(run / "config.yaml").merged(changed), run, resume=True)
    assert history.ended == "epochs"
    names = ("model.safetensors", "vocabulary.json", "data/tokens.bin", "config.yaml")
    assert [files(run)[n] for n in names] == [files(tmp_path / "whole")[n] for n in names]


def test_resume_refuses_another_text_and_model(run: Path, tmp_path: Path) -> None:
    before = files(run)
    (tmp_path / "other.txt").write_text(TEXT.replace("cat", "rat"))
    with pytest.raises(CheckpointError, match="another configuration: data is"):
        train_text(config(tmp_path / "other.txt"), run, resume=True)
    (tmp_path / "same.txt").write_text(TEXT)
    train_text(config(tmp_path / "same.txt"), run, resume=True)
    with pytest.raises(CheckpointError, match=r"model.hidden is 17 now and 16 there"):
        train_text(config(tmp_path / "same.txt", model={"hidden": 17}), run, resume=True)
    assert files(run) == {**before, "config.yaml": files(run)["config.yaml"]}


@pytest.mark.parametrize(
    ("sections", "error", "message"),
    [
        ({"data": {"source": "/none.txt"}}, DataError, "none.txt"),
        ({"data": {"source": None}}, UsageError, "no text was given"),
        ({"training": {"batch_size": 5000}}, DataError, "5,001 at least"),
        ({"model": {"cell": "lstn"}}, UnknownNameError, "Did you mean 'lstm'"),
        ({"model": {"hiden": 3}}, UnknownNameError, "Did you mean 'hidden'"),
        ({"task": "label"}, UsageError, "task 'label'"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_mistake_writes_nothing(
    run: Path, source: Path, sections: Any, error: Any, message: str, overwrite: bool
) -> None:
    out = run if overwrite else run.with_name("new")
    before = files(run)
    with pytest.raises(error, match=message):
        train_text(config(source, **sections), out, overwrite=overwrite)
    assert files(run) == before
    assert overwrite or not out.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", b"x", "damaged"),
        ("vocabulary.json", b"\xff", "damaged"),
        ("vocabulary.json", b"{}", "damaged"),
        ("vocabulary.json", b'{"symbols": ["<unk>", "a"]}', "do not fit"),
        ("vocabulary.json", None, "cannot read .*vocabulary.json"),
        ("config.yaml", None, "no run in"),
        ("config.yaml", b"a: [", "damaged"),
        ("config.yaml", b"recurra: 1\ntask: label", "only 'text' can be loaded"),
        ("config.yaml", b"recurra: 1\nmodel: {hidden: 3}", "do not fit"),
        ("config.yaml", b"recurra: 1\nmodel: {x: 3}", "do not fit"),
    ],
)
def test_a_damaged_run_is_not_loaded(
    run: Path, name: str, content: bytes | None, message: str
) -> None:
    (run / name).unlink()
    if content is not None:
        (run / name).write_bytes(content)
    with pytest.raises(RunError, match=message):
        load(run)


def test_two_processes(run: Path, source: Path, tmp_path: Path) -> None:
    changes = {"model": {"dropout": 0.0}}
    train_text(config(source, **changes), tmp_path / "one")
    chosen = tmp_path / "c.yaml"
    chosen.write_text(config(source, **changes).text())
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nfrom recurra.training import RunConfig, train_text\n"
        "train_text(RunConfig.load(sys.argv[1]), sys.argv[2])\n"
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    subprocess.run(
        [*launcher, str(program), str(chosen), str(tmp_path / "two")],
        check=True,
        timeout=180,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    one, two = (load(tmp_path / name).model.state_dict() for name in ("one", "two"))
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)
    assert not (tmp_path / "two" / ".new").exists()

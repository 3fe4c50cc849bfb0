"""The examples run, and show what they promise."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for variable, value in {"OMP_NUM_THREADS": "1", "COLUMNS": "100"}.items():
        monkeypatch.setitem(os.environ, variable, value)
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_demo_and_a_look_inside(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    demo: Any = example("demo", monkeypatch)
    look: Any = example("look_inside", monkeypatch)
    monkeypatch.setattr(demo, "topics", {"one": look.PASSAGE * 60})
    code = look.main(["--run", str(tmp_path / "run"), "--minutes", "0.02"])
    out, err = capfd.readouterr()
    assert code == 0, err
    assert "most surprising" in out
    assert re.search(r"^highest", out, re.MULTILINE)
    assert re.search(r"^cosine", out, re.MULTILINE)
    assert (tmp_path / "run.html").stat().st_size > 100_000
    assert (tmp_path / "run.index").is_dir()


@pytest.mark.slow
def test_why_rnns_forget(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["--steps", "24", "--updates", "220", "--hidden", "16", "--out", str(tmp_path)]
    assert example("why_rnns_forget", monkeypatch).main(words) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    right = {cell: int(rows[cell][1].rstrip("%")) for cell in ("elman", "lstm", "gru")}
    left = {cell: float(rows[cell][4]) for cell in ("elman", "lstm", "gru")}
    assert right["gru"] > 60
    assert right["elman"] < 40
    assert left["elman"] < 1e-3
    assert min(left["lstm"], left["gru"]) > 0.1
    pages = sorted(path.name for path in tmp_path.iterdir())
    assert pages == ["elman-gru.html", "elman-lstm.html"]

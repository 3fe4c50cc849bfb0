"""`recurra info`: what is in a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from recurra.training.run_folder import RunFolder


def test_info_as_json(call: Any, trained: Path) -> None:
    found = json.loads(call("info", trained, "--json").out)
    assert found["config"] == RunFolder(trained).load_config().model_dump()
    assert found["steps"] > 0
    assert found["seconds"] > 0
    assert found["best"]["step"] <= found["steps"]
    assert 0 < found["best"]["bits_per_char"] < 8
    assert found["parameters"] > 12 * 12 * 4
    for name, size in found["files"].items():
        assert (trained / name).stat().st_size == size


def test_info_in_words(call: Any, trained: Path) -> None:
    found = json.loads(call("info", trained, "--json").out)
    page = call("info", trained)
    assert page.code == 0
    assert page.err == ""
    assert f"{found['best']['bits_per_char']:.4f}" in page.out
    assert "hidden: 12" in page.out
    assert f"{found['vocabulary'] - 1} characters and <unk>" in page.out


def test_a_run_without_an_evaluation(call: Any, trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(trained / "config.yaml", run)
    found = json.loads(call("info", run, "--json").out)
    assert (found["steps"], found["best"], found["parameters"]) == (0, None, None)
    assert "not measured yet" in call("info", run).out


def test_the_kernel_cache(call: Any, trained: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.delenv("RECURRA_CACHE", raising=False)
    assert json.loads(call("info", trained, "--json").out)["kernel_cache"] is None
    assert "kernel cache" not in call("info", trained).out
    place = tmp_path / "kernels"
    monkeypatch.setenv("RECURRA_CACHE", str(place))
    assert json.loads(call("info", trained, "--json").out)["kernel_cache"]["kernels"] == 0
    place.mkdir()
    (place / "a.kernel").write_bytes(b"x" * 1500)
    (place / "notes.txt").write_text("not a kernel")
    found = json.loads(call("info", trained, "--json").out)["kernel_cache"]
    assert found == {"folder": str(place), "kernels": 1, "bytes": 1500}
    page = call("info", trained).out
    assert "kernel cache" in page
    assert "(1,500 bytes, kernels: 1)" in " ".join(page.split())

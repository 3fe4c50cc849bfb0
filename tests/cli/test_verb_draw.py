"""`recurra draw`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from recurra.inspection import draw


def test_a_file(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "lstm.svg"
    ended = call("draw", "lstm", "-o", file)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert file.read_text(encoding="utf-8") == draw("lstm")
    assert os.listdir(tmp_path) == ["lstm.svg"]


@pytest.mark.parametrize("words", [(), ("-o", "-")])
def test_on_stdout(call: Any, words: tuple[str, ...]) -> None:
    ended = call("draw", "gru", *words)
    assert ended.code == 0
    assert ended.out == draw("gru")
    assert ElementTree.fromstring(ended.out).get("data-cell") == "gru"


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; from recurra.cli.main import main; main(sys.argv[1:]); "
        "print(*sorted({'torch', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "draw", "lstm"],
        capture_output=True,
        encoding="utf-8",
        check=True,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    assert done.stderr.strip() == ""
    assert done.stdout == draw("lstm")


def test_a_chain(call: Any) -> None:
    ended = call("draw", "elman", "--unroll", 3, "--interiors", "middle", "--theme", "dark")
    assert ended.out == draw("elman", 3, interiors="middle", theme="dark")


def test_nothing_is_overwritten_unasked(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "cell.svg"
    file.write_text("mine")
    ended = call("draw", "lstm", "-o", file)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        f"recurra: error: {file} exists. Replace it by --overwrite, or give another.\n"
    )
    assert file.read_text() == "mine"
    assert call("draw", "lstm", "-o", file, "--overwrite").code == 0
    assert file.read_text(encoding="utf-8") == draw("lstm")


def test_a_folder_is_never_replaced(call: Any, tmp_path: Path) -> None:
    for words in ((), ("--overwrite",)):
        ended = call("draw", "lstm", "-o", tmp_path, *words)
        assert ended.code == 1
        assert ended.err == f"recurra: error: {tmp_path} is a folder. Give a file.\n"


def test_a_folder_that_is_not_there(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "no" / "cell.svg"
    ended = call("draw", "lstm", "-o", file)
    assert ended.code == 1
    assert ended.err == f"recurra: error: cannot write {file}: No such file or directory.\n"


def test_as_json(call: Any, tmp_path: Path) -> None:
    file = tmp_path / "cell.svg"
    found = json.loads(call("draw", "lstm", "--json", "-o", file).out)
    assert found["file"] == str(file)
    assert file.exists()
    assert (found["cell"], found["states"]) == ("lstm", ["h", "c"])
    nodes = {node["node"]: node for node in found["nodes"]}
    assert (nodes["f"]["kind"], nodes["f"]["label"]) == ("gate", "σ")
    assert nodes["f"]["equation"] == "f[t] = sigmoid(W_f @ x[t] + U_f @ h[t-1] + b_f)"
    assert (nodes["before:c"]["kind"], nodes["before:c"]["time"]) == ("state", "before")
    assert nodes["before:c"]["place"][0] == 0
    edge = next(e for e in found["edges"] if (e["from"], e["to"]) == ("c", "after:c"))
    assert edge["rail"]
    assert edge["points"][-1] == [found["width"], nodes["after:c"]["place"][1]]
    assert json.loads(call("draw", "lstm", "--json").out) == found | {"file": None}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lsmt",), "unknown cell 'lsmt'. Did you mean 'lstm'?"),
        (("lstm", "--theme", "blue"), "unknown theme 'blue'. Known: auto, light, dark."),
        (("lstm", "--unroll", "0"), "0 steps cannot be drawn side by side; give 1 to 99."),
        (
            ("lstm", "--interiors", "none"),
            "unknown choice of interiors 'none'. Known: all, middle.",
        ),
    ],
)
def test_mistakes(call: Any, tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    ended = call("draw", *words, "-o", tmp_path / "cell.svg")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"recurra: error: {message}\n"
    assert os.listdir(tmp_path) == []

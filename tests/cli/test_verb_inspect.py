"""`recurra inspect`: on a terminal, in a pipe, as JSON, as a page; and every mistake."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import recurra

TEXT = "The quick brown fox."
UNIT = "recurrent.0.forward.c[5]"


def test_in_a_pipe(call: Any, trained: Path) -> None:
    page = call("inspect", trained, "--text", TEXT)
    assert (page.code, page.err) == (0, "")
    lines = page.out.splitlines()
    assert lines[0] == TEXT
    assert len(lines[1]) == len(TEXT)
    assert "\x1b" not in page.out
    for word in ("surprisal, in bits", "most surprising", "recurrent.0.forward: lstm, 12 units"):
        assert word in page.out


def test_as_json(call: Any, trained: Path) -> None:
    found = json.loads(call("inspect", trained, "--text", TEXT, "--unit", UNIT, "--json").out)
    assert "".join(item["character"] for item in found["items"]) == TEXT
    loaded = recurra.load(trained)
    wanted = loaded.evaluate(TEXT)["bits_per_char"]
    assert found["bits_per_char"] == pytest.approx(wanted, rel=1e-4)
    assert found["unit"]["address"] == UNIT
    assert len(found["unit"]["values"]) == len(TEXT)
    assert set(found["gates"]) == {f"recurrent.0.forward.{name}" for name in "ifo"}
    assert len(found["gradient_norms"]["recurrent.0.forward.c"]) == len(TEXT)
    assert found["verdicts"]


def test_a_file_and_stdin_and_only_their_beginning(
    program: Any, trained: Path, tmp_path: Path
) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(b"\xff\xfe" + TEXT.encode("utf-16-le"))
    by_file = program("inspect", trained, "--file", file, "--max", 9)
    assert by_file.out.splitlines()[0] == TEXT[:9]
    assert by_file.err == "recurra: the first 9 characters are read; --max takes more.\n"
    by_pipe = program("inspect", trained, "--file", "-", "--max", 9, text=TEXT)
    assert by_pipe.out == by_file.out


@pytest.mark.skipif(os.name == "nt", reason="no pseudo terminal")
@pytest.mark.parametrize(
    ("more", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"COLUMNS": "40"}, True)],
)
def test_on_a_terminal(trained: Path, more: dict[str, str], colour: bool) -> None:
    import pty

    environment = {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "40", **more}
    words = [sys.executable, "-m", "recurra", "inspect", str(trained), "--text", TEXT]
    child, terminal = pty.fork()
    if child == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ.update(environment, OMP_NUM_THREADS="1", PYTHONUTF8="1")
        os.execv(sys.executable, words)
    shown = b""
    while True:
        try:
            block = os.read(terminal, 65536)
        except OSError:
            break
        if not block:
            break
        shown += block
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.close(terminal)
    text = shown.decode().replace("\r\n", "\n")
    assert (re.search(r"\x1b\[[0-9;]*48;", text) is not None) == colour
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "\x1b" not in plain
    assert plain.startswith(TEXT + "\n")
    assert max(map(len, plain.splitlines())) <= max(45, int(environment["COLUMNS"]))


def test_one_character_is_enough(call: Any, trained: Path) -> None:
    page = call("inspect", trained, "--text", "T")
    assert (page.code, page.err) == (0, "")
    assert page.out.startswith("T\n")
    found = json.loads(call("inspect", trained, "--text", "T", "--json").out)
    assert found["gradients"] == {}


def test_hostile_text(program: Any, trained: Path) -> None:
    text = "[red]x[/] \x1b[31m \u202e <b>&amp; \ud83d\ude42".encode("utf-16", "surrogatepass")
    ended = program("inspect", trained, "--text", text.decode("utf-16") + "\u0301\t\x07")
    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out
    assert "\x07" not in ended.out
    assert "[red]x[/]" in ended.out
    plain = program("inspect", trained, "--text", "é" * 3, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert plain.code == 0


def test_a_page_is_written_and_not_overwritten_unasked(
    call: Any, trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    words = ("inspect", trained, "--text", TEXT, "-o", out)
    ended = call(*words)
    assert (ended.code, ended.err) == (0, "")
    assert str(out) in ended.out
    page = out.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert "Saturated gates" in page
    out.write_text("mine")
    refused = call(*words)
    assert refused.code == 1
    assert "--overwrite" in refused.err
    assert out.read_text() == "mine"
    assert call(*words, "--overwrite", "--unit", UNIT).code == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [out]


def test_two_runs_and_two_texts_on_a_page(call: Any, trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    words = ("inspect", trained, "--text", TEXT, "-o", out, "--overwrite")
    one = call(*words)
    assert one.code == 0
    alone = out.stat().st_size
    for more in (["--compare", trained], ["--compare-text", "The lazy dog."]):
        assert call(*words, *more).code == 0
        assert out.stat().st_size > alone


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "--text or --file"),
        (["--text", "a", "--file", "b"], 2, "--text or --file"),
        (["--text", ""], 3, "empty"),
        (["--file", "none.txt"], 3, "no file"),
        (["--text", "abc", "--unit", "q[5]"], 2, "unknown value"),
        (["--text", "abc", "--unit", "*[5]"], 2, "means several values"),
        (["--text", "abc", "--unit", "c[1,2]", "-o", "page.html"], 2, "does not name one unit"),
        (["--text", "abc", "--unit", "c[", "-o", "page.html"], 2, "is no address"),
        (["--text", "abc", "--unit", "recurrent.0.forward.c"], 2, "does not name one unit"),
        (["--text", "abc", "--unit", "recurrent.0.forward.c[12]"], 2, "there are 0 to 11"),
        (["--text", "abc", "--max", "0"], 2, "--max"),
        (["--text", "abc", "--overwrite"], 2, "-o page.html"),
        (["--text", "abc", "--compare", "x"], 2, "-o page.html"),
        (["--text", "abc", "--compare-text", "", "-o", "page.html"], 2, "second text is empty"),
        (["--text", "abc", "--compare", "none", "-o", "page.html"], 1, "no run in none"),
        (["--text", "abc", "-o", "."], 1, "is a folder"),
        (["--text", "abc", "-o", "none/page.html"], 1, "no folder none for page.html"),
    ],
)
def test_mistakes(
    call: Any,
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = call("inspect", trained, *words)
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_none(call: Any, tmp_path: Path) -> None:
    ended = call("inspect", tmp_path / "none", "--text", "abc")
    assert ended.code == 1
    assert "there is no run" in ended.err

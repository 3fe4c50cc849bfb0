"""`recurra search`: places in a text, for people and for programs."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

UNIT = "recurrent.0.forward.c[5]"


def test_places_in_words_and_as_json(call: Any, trained: Path, book: Path, tmp_path: Path) -> None:
    words = ("search", trained, book, "--unit", UNIT, "--count", 3, "--index", tmp_path / "index")
    page = call(*words)
    assert (page.code, page.err) == (0, "")
    assert "\x1b" not in page.out
    found = json.loads(call(*words, "--json").out)
    text = book.read_text()
    assert (found["address"], found["characters"], found["reused"]) == (UNIT, len(text), True)
    for title in ("highest", "lowest"):
        assert title in page.out
        assert len(found[title]) == 3
        for hit in found[title]:
            assert text[hit["position"]] == hit["character"]
            (line,) = (
                line
                for line in page.out.splitlines()
                if f" {hit['position']:,} " in line and f"{hit['value']:.4g} " in line
            )
            assert f"│{hit['character']}│" in line


def test_the_characters_that_were_found_stand_below_each_other(
    call: Any, trained: Path, book: Path, tmp_path: Path
) -> None:
    words = ("search", trained, book, "--like", "The qu", "--index", tmp_path / "index")
    page = call(*words)
    bars = {line.index("│") for line in page.out.splitlines() if "│" in line}
    assert len(bars) == 1
    assert page.out.count("│") == 10
    assert "│u│" in page.out


def test_hostile_text_is_shown_as_text(program: Any, trained: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text("The [red]quick[/] \x1b[31m \u202e fox\x07 漢字🙂 " * 20)
    words = ("search", trained, book, "--unit", UNIT, "--index", tmp_path / "index")
    ended = program(*words)
    assert ended.code == 0
    assert "\x1b" not in ended.out
    assert "\u202e" not in ended.out
    assert "\x07" not in ended.out
    plain = program(*words, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert plain.code == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_ctrl_c_leaves_no_half_index(start: Any, trained: Path, tmp_path: Path) -> None:
    book, index = tmp_path / "book.txt", tmp_path / "index"
    book.write_text("The quick brown fox jumps over the lazy dog.\n" * 40_000)
    process = start("search", trained, book, "--unit", UNIT, "--index", index)
    deadline = time.monotonic() + 60
    while not index.is_dir() or not any(index.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "recurra: interrupted\n")
    assert list(index.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "--unit or --like"),
        (["--unit", "recurrent.0.forward.q[1]"], 2, "unknown value"),
        (["--unit", "recurrent.0.forward.c[99]"], 2, "there are 0 to 11"),
        (["--unit", UNIT, "--count", "0"], 2, "--count"),
        (["--unit", UNIT, "--dtype", "int8"], 2, "float16, float32"),
        (["--unit", UNIT, "--encoding", "utf-99"], 2, "unknown encoding"),
    ],
)
def test_mistakes(
    call: Any, trained: Path, book: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    ended = call("search", trained, book, *words, "--index", tmp_path / "index")
    assert ended.code == code
    assert ended.out == ""
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [(None, 3, "no file"), (b"", 3, "empty"), (b"ab\xff", 3, "offset 2")],
)
def test_bad_texts(
    call: Any, trained: Path, tmp_path: Path, content: bytes | None, code: int, said: str
) -> None:
    book = tmp_path / "book.txt"
    if content is not None:
        book.write_bytes(content)
    ended = call("search", trained, book, "--unit", UNIT, "--index", tmp_path / "index")
    assert ended.code == code
    assert said in ended.err
    assert not (tmp_path / "index").exists()

"""`recurra generate` and `recurra eval`: what a trained run gives back."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_text_has_as_many_characters_as_asked_for(call: Any, trained: Path) -> None:
    ended = call("generate", trained, "--max-new", 40, "--seed", 1)
    assert ended.code == 0
    assert ended.err == ""
    assert len(ended.out) == 41
    assert ended.out.endswith("\n")


def test_the_prompt_is_printed_first_and_the_seed_decides(call: Any, trained: Path) -> None:
    words = ("generate", trained, "--prompt", "The ", "--max-new", 30)
    first, again, other = (call(*words, "--seed", seed).out for seed in (1, 1, 2))
    assert first.startswith("The ")
    assert first == again
    assert first != other


def test_json_holds_the_same_text_and_its_log_probability(call: Any, trained: Path) -> None:
    words = ("generate", trained, "--prompt", "The ", "--max-new", 30, "--seed", 1)
    plain, found = call(*words).out, json.loads(call(*words, "--json").out)
    (sample,) = found["samples"]
    assert found["prompt"] + sample["text"] + "\n" == plain
    assert len(sample["characters"]) == len(sample["text"]) == 30
    logs = [character["log_probability"] for character in sample["characters"]]
    assert all(log <= 0 for log in logs)
    assert sample["log_probability"] == pytest.approx(sum(logs))
    assert sample["bits_per_char"] == pytest.approx(-sum(logs) / 30 / math.log(2))
    assert "".join(character["character"] for character in sample["characters"]) == sample["text"]


def test_a_seed_is_drawn_and_told_if_none_is_given(call: Any, trained: Path) -> None:
    words = ("generate", trained, "--max-new", 30)
    found = json.loads(call(*words, "--json").out)
    again = json.loads(call(*words, "--json", "--seed", found["seed"]).out)
    assert again == found


def test_several_samples(call: Any, trained: Path) -> None:
    words = ("generate", trained, "--max-new", 20, "--seed", 1, "--num-samples", 3)
    samples = json.loads(call(*words, "--json").out)["samples"]
    assert [len(sample["text"]) for sample in samples] == [20, 20, 20]
    plain = call(*words).out
    assert all(sample["text"] in plain for sample in samples)
    assert [line for line in plain.splitlines() if line.startswith("--- ")] == [
        "--- 1 of 3 ---",
        "--- 2 of 3 ---",
        "--- 3 of 3 ---",
    ]


def test_only_what_it_needs_is_imported(trained: Path) -> None:
    unneeded = ("accelerate", "urllib.request", "recurra.training.loop", "recurra.training.fitting")
    code = (
        "import sys; from recurra.cli.main import main; import torch; before = set(sys.modules); "
        "code = main(sys.argv[1:]); new = set(sys.modules) - before; "
        f"print(code, *sorted(set({unneeded!r}) & new), file=sys.stderr)"
    )
    words = ("generate", str(trained), "--max-new", "1")
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "0"


def test_unknown_characters_are_named_and_do_not_stop(program: Any, trained: Path) -> None:
    ended = program("generate", trained, "--prompt", "Ωmega ☃", "--max-new", 20)
    assert ended.code == 0
    assert ended.out.startswith("Ωmega ☃")
    assert ended.err.startswith("recurra: warning: ")
    assert "Ω" in ended.err
    assert "☃" in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.skipif(os.name == "nt", reason="a POSIX pipe")
def test_a_reader_that_goes_away(start: Any, trained: Path) -> None:
    process = start("generate", trained, "--max-new", 100_000)
    assert len(process.stdout.read(10)) == 10
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signal")
def test_ctrl_c_while_generating(start: Any, trained: Path) -> None:
    process = start("generate", trained, "--max-new", 1_000_000)
    process.stdout.read(10)
    process.send_signal(2)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "recurra: interrupted\n"


def test_a_terminal_that_knows_few_characters(program: Any, trained: Path) -> None:
    words = ("generate", trained, "--prompt", "☃", "--max-new", 3)
    ended = program(*words, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert ended.code == 0
    assert ended.out.startswith("?")


def test_eval_in_words_and_as_json(call: Any, trained: Path, book: Path) -> None:
    found = json.loads(call("eval", trained, book, "--json").out)
    assert found["perplexity"] == pytest.approx(2 ** found["bits_per_char"], rel=1e-4)
    assert 0 <= found["accuracy"] <= 1
    assert found["bits_per_char"] < 8
    page = call("eval", trained, book)
    assert page.err == ""
    assert f"{found['bits_per_char']:.4f}" in page.out


def test_eval_names_unknown_characters(program: Any, trained: Path) -> None:
    ended = program("eval", trained, "-", text="The snowman ☃ is here. " * 20)
    assert ended.code == 0, ended.err
    assert "☃" in ended.err


@pytest.mark.parametrize(("content", "said"), [(b"", "empty"), (b"x", ""), (b"ab\xff", "offset 2")])
def test_eval_of_a_bad_text(
    call: Any, trained: Path, tmp_path: Path, content: bytes, said: str
) -> None:
    text = tmp_path / "text.txt"
    text.write_bytes(content)
    ended = call("eval", trained, text)
    assert ended.code == 3
    assert said in ended.err
    assert list(tmp_path.iterdir()) == [text]

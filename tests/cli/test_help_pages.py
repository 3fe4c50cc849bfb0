"""Help pages: quick, within 80 columns, with examples, and true."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
import typer

import recurra
from recurra.cli.main import app

HEAVY = ("torch", "numpy", "pydantic", "accelerate", "yaml", "rich")
PAGES = [
    ("--help",),
    ("train", "--help"),
    ("train", "text", "--help"),
    ("generate", "--help"),
    ("eval", "--help"),
    ("cells", "--help"),
    ("show", "--help"),
    ("cite", "--help"),
    ("draw", "--help"),
    ("info", "--help"),
]


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_a_page_fits_a_terminal_and_shows_examples(call: Any, words: tuple[str, ...]) -> None:
    page = call(*words)
    assert page.code == 0
    assert page.err == ""
    assert page.out.startswith("Usage: recurra")
    assert max(map(len, page.out.splitlines())) <= 80
    assert "Examples:" in page.out
    assert "\N{NO-BREAK SPACE}" not in page.out


def test_help_takes_less_than_a_third_of_a_second(program: Any) -> None:
    def seconds() -> float:
        """Of the processor, not of the clock: other work on the machine does not count."""
        before = os.times()
        assert program("--help").code == 0
        after = os.times()
        return after[2] + after[3] - before[2] - before[3]

    assert min(seconds() for _ in range(5)) < 0.3


@pytest.mark.parametrize("words", [*PAGES, ("--version",), ("cells",)], ids=" ".join)
def test_what_needs_no_model_loads_no_heavy_module(words: tuple[str, ...]) -> None:
    code = (
        "import sys; from recurra.cli.main import main; code = main(sys.argv[1:]); "
        f"print(code, *sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "0"


def test_without_a_command_the_help_goes_to_stderr(call: Any) -> None:
    for words in ((), ("train",)):
        ended = call(*words)
        assert ended.code == 2
        assert ended.out == ""
        assert ended.err.startswith("Usage: recurra")


def test_version(call: Any) -> None:
    assert call("--version").out == f"recurra {recurra.__version__}\n"


def test_the_program_and_the_module_are_the_same(program: Any) -> None:
    assert program("--version").out == f"recurra {recurra.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("shwo",), "no such command 'shwo'. Did you mean 'show'? See 'recurra --help'."),
        (
            ("train", "txt"),
            "no such command 'txt'. Did you mean 'text'? See 'recurra train --help'.",
        ),
        (
            ("cells", "--jsn"),
            "no such option: --jsn. Did you mean '--json'? See 'recurra cells --help'.",
        ),
        (("show",), "missing argument 'CELL'. See 'recurra show --help'."),
        (
            ("train", "text", "a.txt"),
            "missing option '-o' / '--out'. See 'recurra train text --help'.",
        ),
    ],
)
def test_a_wrong_word_is_answered_with_the_nearest(
    call: Any, words: tuple[str, ...], message: str
) -> None:
    ended = call(*words)
    assert ended.code == 2
    assert ended.out == ""
    assert ended.err == f"recurra: error: {message}\n"


def test_every_option_has_help() -> None:
    def commands(command: Any) -> list[Any]:
        below = getattr(command, "commands", {}).values()
        return [command, *(found for child in below for found in commands(child))]

    for command in commands(typer.main.get_command(app)):
        for param in command.params:
            assert param.help, (command, param.name)

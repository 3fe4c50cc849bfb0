"""The examples of the docstrings run, and print what they say: of every module that has some."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import recurra

ROOT = Path(recurra.__file__).parent
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def with_examples() -> list[str]:
    """The modules whose text holds an example, found without importing any."""
    paths = [path for path in ROOT.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    names = [path.relative_to(ROOT.parent).with_suffix("").as_posix() for path in sorted(paths)]
    return [name.removesuffix("/__init__").replace("/", ".") for name in names]


@pytest.mark.parametrize("name", with_examples())
def test_examples(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_notation_and_the_layers_have_examples() -> None:
    found = with_examples()
    for room in ("graph", "nn"):
        assert any(name.startswith(f"recurra.{room}.") for name in found)

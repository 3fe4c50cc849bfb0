"""Results: tables on stdout that fit a terminal, JSON, and files that are written whole."""

from __future__ import annotations

import json
import math
import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.errors import RunError
from recurra.files import write_whole

JSON = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

_WIDTH = 80
_GAP = "  "


def check_new(path: Path, overwrite: bool) -> None:
    """Refuse a place for a file.

    Raises:
        RunError: a folder is there, or something else and `overwrite` is false.
    """
    if path.is_dir():
        raise RunError(f"{path} is a folder. Give a file.")
    if os.path.lexists(path) and not overwrite:
        raise RunError(f"{path} exists. Replace it by --overwrite, or give another.")


def write_new(path: Path, text: str, overwrite: bool) -> None:
    """Write a file, whole or not at all.

    Raises:
        RunError: as `check_new`; or it cannot be written.
    """
    check_new(path, overwrite)
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}.") from error


def print_json(value: Any) -> None:
    """Print a value as JSON; a number that JSON does not know (NaN, infinity) becomes null."""
    typer.echo(json.dumps(_finite(value), indent=2))


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print (name, value) pairs, one a line, values in one column."""
    width = max((len(name) for name, _ in facts), default=0)
    for name, value in facts:
        typer.echo(f"{name:<{width}}{_GAP}{value}".rstrip())


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns; the last one is wrapped so that lines stay within 80 characters."""
    columns = list(zip(titles, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns[:-1]]
    indent = sum(widths) + len(_GAP) * len(widths)
    for row in (titles, *rows):
        lines = textwrap.wrap(row[-1], max(20, _WIDTH - indent)) or [""]
        start = _GAP.join(
            [*(f"{cell:<{width}}" for cell, width in zip(row[:-1], widths, strict=True)), lines[0]]
        )
        typer.echo(start.rstrip())
        for line in lines[1:]:
            typer.echo(" " * indent + line)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

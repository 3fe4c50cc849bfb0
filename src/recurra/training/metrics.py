"""`metrics.jsonl`: a JSON object a line for each evaluation and inspection; and their history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.errors import RunError
from recurra.training.files import write_whole

Record = dict[str, Any]


@dataclass(frozen=True)
class History:
    """What a training did: its records, and why it ended ("epochs", "minutes" or "patience")."""

    run: Path
    records: tuple[Record, ...]
    ended: str

    @property
    def validation(self) -> list[Record]:
        """The evaluations on the held-out part, in order."""
        return [record for record in self.records if record["split"] == "validation"]


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add a line.

    Raises:
        RunError: the disk is full or cannot be written.
    """
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
    except OSError as error:
        raise RunError(
            f"cannot write {path}: {error.strerror}. The last checkpoint is whole: "
            "make room on the disk, then go on with --resume."
        ) from error


def read(path: Path) -> list[Record]:
    """All whole lines; a line cut short by a crash is left out."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    records = (_parse(line) for line in lines)
    return [record for record in records if record is not None]


def trim(path: Path, step: int) -> None:
    """Drop the lines after `step`: a resume computes them again.

    Raises:
        RunError: the disk is full or cannot be written; the file is as it was.
    """
    kept = [record for record in read(path) if record["step"] <= step]
    write_whole(path, "".join(json.dumps(record) + "\n" for record in kept).encode())


def _parse(line: str) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and {"step", "split"} <= record.keys() else None

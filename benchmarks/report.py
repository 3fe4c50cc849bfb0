"""The results as a table on the terminal, and as JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from entries import Outcome, Row
from limits import Limit
from problem import USES
from recurrence import Recurrence
from shapes import SHAPES
from shares import Share
from timing import in_units

FORMAT = 2


def heading(machine: Mapping[str, Any], versions: Mapping[str, Any]) -> str:
    """Machine and versions, in two lines."""
    packages = ", ".join(f"{name} {v}" for name, v in versions.items() if v is not None)
    return (
        f"{machine['processor']}; {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['instructions']}, load {machine['load']}\n{packages}"
    )


def entry_table(outcome: Outcome) -> str:
    """An entry: a line for each peer, its median, its quartiles, and how many times ours it is."""
    entry = outcome.entry
    lines = [f"\n{entry.cell}, {entry.use} ({USES[entry.use]}); {SHAPES[entry.shape]}"]
    lines += [_line(row) for row in outcome.rows]
    if outcome.limit is not None:
        lines.append(_limit_line(outcome.limit))
    return "\n".join(lines)


def _limit_line(limit: Limit) -> str:
    ratio = f"{limit.ratio:.2f} x"
    return f"  {'(limit)':<16} {in_units(limit.seconds):<34} {ratio:>9}   {limit.what}"


def _line(row: Row) -> str:
    if row.time is None:
        return f"  {row.peer:<16} {_why(row)}"
    ratio = "" if row.ratio is None else f"{row.ratio:.2f} x"
    rest = f"{row.time.rounds} rounds, deviation {row.deviation:.0e}"
    return f"  {row.peer:<16} {row.time!s:<34} {ratio:>9}   {rest}"


def _why(result: Row | Share) -> str:
    """Why there is no time."""
    if result.refused:
        return f"REFUSED: {result.refused}"
    return f"left out: {result.left_out}"


SHARES_HEAD = (
    "\nEvery cell: speed of its products, and as a share of our LSTM's, in alternation\n"
    f"  {'cell':<22} {'use':<10} {'stages':>6} {'GFLOP/s':>8} {'share':>6}"
)


def share_line(share: Share) -> str:
    """A cell in one use."""
    head = f"  {share.cell:<22} {share.use:<10} {share.stages:>6}"
    if share.gflops is None or share.share is None:
        return f"{head}   {_why(share)}"
    return f"{head} {share.gflops:8.0f} {share.share:6.2f}   {share.time}"


RECURRENCE_HEAD = (
    "\nThe recurrence alone, gates included, as a share of a large float32 product in alternation"
)


def recurrence_line(found: Recurrence) -> str:
    """A kernel of one cell."""
    head = f"  {found.cell:<8} H {found.shape.H:<5} B {found.shape.B:<3} {found.direction:<18}"
    if found.gflops is None or found.share is None:
        return f"{head} left out: {found.left_out}"
    return f"{head} {found.gflops:6.0f} of {found.peak:4.0f} GFLOP/s {found.share:6.2f}"


def as_json(
    command: str,
    machine: Mapping[str, Any],
    versions: Mapping[str, Any],
    outcomes: list[Outcome],
    shares: list[Share],
    kernels: list[Recurrence],
) -> dict[str, Any]:
    """Everything as plain data; times in seconds."""
    return {
        "format": FORMAT,
        "command": command,
        "machine": dict(machine),
        "versions": dict(versions),
        "entries": [
            {
                **outcome.entry._asdict(),
                "sizes": {k: getattr(SHAPES[outcome.entry.shape], k) for k in "TBIH"},
                "rows": [asdict(row) for row in outcome.rows],
                "limit": None if outcome.limit is None else asdict(outcome.limit),
            }
            for outcome in outcomes
        ],
        "cells": [asdict(share) for share in shares],
        "recurrence": [asdict(kernel) for kernel in kernels],
    }


def write(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all."""
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        half.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)

"""Write docs/cells/speed.json: how fast each cell was, from a table of cells.

    python benchmarks/run.py --tables cells --minutes 15 --json found.json
    python tools/cell_speed.py found.json
    python tools/cell_pages.py

Cells that the table left out keep what was said of them; `--cell lstm,NAME` measures a few.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent.parent / "docs" / "cells" / "speed.json"
CLASSES = ((0.5, "fast"), (1.1, "like the LSTM"), (2.0, "slower than the LSTM"))


def speeds(found: dict[str, Any]) -> dict[str, str]:
    """A sentence for each cell that was measured in training and in inference."""
    times: dict[str, dict[str, float]] = {}
    for row in found["cells"]:
        if row["time"] is not None:
            times.setdefault(row["cell"], {})[row["use"]] = row["time"]["median"]
    machine = found["machine"]
    where = f"{machine['threads']} threads of {machine['processor']}, {machine['instructions']}"
    return {
        cell: sentence(own, times["lstm"], where)
        for cell, own in sorted(times.items())
        if len(own) == 2
    }


def sentence(own: dict[str, float], lstm: dict[str, float], where: str) -> str:
    """The class of a cell by its time in training beside that of `lstm`, and both times."""
    share = own["training"] / lstm["training"]
    name = next((name for limit, name in CLASSES if share < limit), "much slower than the LSTM")
    parts = (
        f"{use} {1e3 * own[use]:.3g} ms, {own[use] / lstm[use]:.2f} of the LSTM's"
        for use in ("training", "inference")
    )
    return f"{name}: {'; '.join(parts)} (T 50, B 30, I = H = 300, {where})"


def main(found: Path, target: Path = TARGET) -> None:
    """Add the cells of a table to the file of all, which need not exist."""
    before = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    new = speeds(json.loads(found.read_text(encoding="utf-8")))
    after = dict(sorted({**before, **new}.items()))
    target.write_text(json.dumps(after, indent=2) + "\n", encoding="utf-8")
    print(f"{target}: {len(new)} cells measured, {len(after)} in all")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

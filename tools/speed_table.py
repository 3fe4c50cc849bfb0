"""Print the entries of benchmark runs as a table in Markdown.

python benchmarks/run.py --cell lstm --peers torch --json found.json
python tools/speed_table.py found.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = (
    "| cell | T, B, I, H | use | recurra | peer | its time | times ours | limit |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


def table(found: list[dict[str, Any]]) -> Iterator[str]:
    """One line for each peer of each entry that was timed beside ours."""
    yield from HEAD
    for run in found:
        for entry in run["entries"]:
            yield from _lines(entry)


def _lines(entry: dict[str, Any]) -> Iterator[str]:
    times = {row["peer"]: row["time"] for row in entry["rows"] if row["time"] is not None}
    sizes = ", ".join(str(entry["sizes"][letter]) for letter in "TBIH")
    ours, limit = times.pop("recurra", None), entry["limit"]
    if ours is None or limit is None:
        return
    for peer, time in times.items():
        ratio = time["median"] / ours["median"]
        both = [_milliseconds(one["median"]) for one in (ours, time)]
        cells = (entry["cell"], sizes, entry["use"], both[0], peer, both[1])
        yield f"| {' | '.join(cells)} | {ratio:.2f} | {limit['ratio']:.2f} |"


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:#.3g}".rstrip(".")


def main(names: list[str]) -> None:
    """Print the table of these files."""
    if not names:
        sys.exit("which files? Name what benchmarks/run.py --json wrote")
    found = []
    for name in names:
        try:
            found.append(json.loads(Path(name).read_text(encoding="utf-8")))
            list(table(found[-1:]))
        except OSError as error:
            sys.exit(f"{name}: {error.strerror}")
        except (ValueError, KeyError, TypeError):
            sys.exit(f"{name} is no file of benchmarks/run.py --json, or one of an older format")
    print("\n".join(table(found)))


if __name__ == "__main__":
    main(sys.argv[1:])

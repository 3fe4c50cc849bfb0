"""Draw what the commands of docs/reading-a-report.md print, as docs/report-*.svg.

    python tools/report_pictures.py runs/demo

The run is that of `make demo`; its text must stand beside it.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 100
ROOT = Path(__file__).parent.parent
PASSAGE = (
    "For example, the following class counts its instances:\n\n"
    "   class Counter:\n      number = 0\n"
)
HEADING = "Deleting a name\n===============\n\nA target list is deleted from left to right.\n"
UNIT = "recurrent.1.forward.c[17]"


def commands(run: str) -> dict[str, tuple[list[str], int | None]]:
    """By name of the picture: the command, and how many of its lines are drawn."""
    text = f"{run}-text.txt"
    return {
        "whole": (["recurra", "inspect", run, "--text", PASSAGE], None),
        "unit": (["recurra", "inspect", run, "--text", HEADING, "--unit", UNIT], 9),
        "search": (["recurra", "search", run, text, "--unit", UNIT], None),
        "like": (["recurra", "search", run, text, "--like", "for example"], None),
        "forgetting": (["python", "examples/why_rnns_forget.py"], None),
    }


def draw(name: str, command: list[str], lines: int | None) -> None:
    """Run a command as on a terminal and draw what it prints."""
    program = [sys.executable, "-m", "recurra"] if command[0] == "recurra" else [sys.executable]
    words = [str(ROOT / word) if word.startswith("examples/") else word for word in command[1:]]
    terminal = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}
    environment = {**os.environ, **terminal, "COLUMNS": str(WIDTH), "PYTHONUTF8": "1"}
    environment.pop("NO_COLOR", None)
    done = subprocess.run(
        [*program, *words], env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=True
    )
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    for line in done.stdout.splitlines()[:lines]:
        console.print(Text.from_ansi(line), soft_wrap=True)
    svg = console.export_svg(title=shlex.join(command).replace("\n", " ")[:80])
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!-- Generated with Rich[^>]*-->\s*", "", svg)
    svg = re.sub(r"terminal-\d+", f"report-{name}", svg)
    target = ROOT / "docs" / f"report-{name}.svg"
    target.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), encoding="utf-8")
    print(f"{target.relative_to(ROOT)}: {target.stat().st_size:,} bytes")


def main(run: str, only: list[str]) -> None:
    """Draw all pictures, or those that are named."""
    for name, (command, lines) in commands(run).items():
        if not only or name in only:
            draw(name, command, lines)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

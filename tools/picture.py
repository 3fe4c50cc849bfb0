"""Draw the output of `make demo` as docs/demo.svg, the picture in the README.

    python tools/picture.py LOG

LOG is what the terminal showed: `make demo 2>&1 | tee LOG`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 112
SKIPPED = re.compile(r"^(make\[|python|\.venv|\S*/python )")


def main(log: str) -> None:
    """Write the picture beside the documentation, without the address of the web font."""
    console = Console(record=True, width=WIDTH, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: SIM115
    for line in Path(log).read_text(encoding="utf-8").splitlines():
        if not SKIPPED.match(line):
            style = "bold" if line.startswith("$ ") else "dim" if line.startswith("    |") else ""
            console.print(Text(line, style=style), soft_wrap=False)
    svg = console.export_svg(title="make demo")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!-- Generated with Rich[^>]*-->\s*", "", svg)
    target = Path(__file__).parent.parent / "docs" / "demo.svg"
    target.write_text(re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

"""Look into the text model of the demo: what surprises it, what a unit means, what it remembers.

    python examples/look_inside.py [--run runs/demo] [--minutes 3]

Without a run it is trained first, as `examples/demo.py` does. The commands work on any run.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import demo

import recurra

PASSAGE = """\
For example, the following class counts its instances:

   class Counter:
      number = 0

      def __init__(self):
         Counter.number += 1
"""


def most_lasting_unit(run: Path) -> str:
    """The address of the unit of the last layer's memory that forgets slowest."""
    recording = recurra.load(run).record(PASSAGE)
    life = recurra.inspection.half_lives(recording)[-1]
    return f"{life.address}[{int(life.steps.argmax())}]"


def main(arguments: list[str] | None = None) -> int:
    """Run the commands, each printed before its output; the code of the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, default=Path("runs/demo"), help="a run folder")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, if there is none")
    options = parser.parse_args(arguments)
    run = options.run
    text = run.with_name(run.name + "-text.txt")
    training = ["--minutes", f"{options.minutes:g}", "--out", str(run)]
    if not run.exists() and (code := demo.main(training)):
        return code
    unit = most_lasting_unit(run)
    page = run.with_name(run.name + ".html")
    return demo.run_all(
        [
            ["inspect", str(run), "--text", PASSAGE],
            ["inspect", str(run), "--text", PASSAGE, "--unit", unit],
            ["search", str(run), str(text), "--unit", unit],
            ["search", str(run), str(text), "--like", "for example"],
            ["inspect", str(run), "--text", PASSAGE, "-o", str(page), "--overwrite"],
        ]
    )


if __name__ == "__main__":
    sys.exit(main())

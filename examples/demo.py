"""Train a character model on the language reference that ships inside Python, and let it write.

    python examples/demo.py [--minutes 3] [--out runs/demo]

The same two commands work on any text file.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from pydoc_data.topics import topics


def main(arguments: list[str] | None = None) -> int:
    """Write the text to a file, train, generate; the exit code of the first step that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=3.0, help="of training")
    parser.add_argument("--out", type=Path, default=Path("runs/demo"), help="the run folder")
    options = parser.parse_args(arguments)
    text = options.out.with_name(options.out.name + "-text.txt")
    text.parent.mkdir(parents=True, exist_ok=True)
    text.write_text("\n\n".join(topics[name] for name in sorted(topics)), encoding="utf-8")
    train = ["train", "text", str(text), "-o", str(options.out), "--overwrite"]
    generate = ["generate", str(options.out), "--max-new", "500", "--seed", "1"]
    return run_all([[*train, "--minutes", f"{options.minutes:g}"], generate])


def run_all(commands: Iterable[list[str]]) -> int:
    """Run commands of recurra, each printed before its output; the code of the first that fails."""
    for command in commands:
        print(f"\n$ recurra {shlex.join(command)}", file=sys.stderr, flush=True)
        code = subprocess.run([sys.executable, "-m", "recurra", *command], check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())

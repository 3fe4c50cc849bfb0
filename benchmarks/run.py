"""Time recurra and its peers: a correctness gate, then all of them in alternation.

python benchmarks/run.py [--quick] [--cell lstm,gru] [--shape text] [--use training]
    [--peers torch,keras] [--tables entries,cells,recurrence] [--json FILE]
"""

from __future__ import annotations

import argparse
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entries import Outcome
    from recurrence import Recurrence
    from registry import Entry
    from shares import Share

TABLES = ("recurrence", "entries", "cells")
START = time.perf_counter()
FOR_ENTRIES = 0.68  # of a run's time, if the table of all cells follows


def parser() -> argparse.ArgumentParser:
    """The options."""
    import equations
    from peers import PEERS
    from problem import USES
    from shapes import SHAPES

    made = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, known in (
        ("cell", tuple(equations.names())),
        ("shape", tuple(SHAPES)),
        ("use", tuple(USES)),
        ("peers", tuple(PEERS)),
        ("tables", TABLES),
    ):
        made.add_argument(
            f"--{name}", type=_names(known), default=[], help=f"of {', '.join(known)}"
        )
    made.add_argument("--quick", action="store_true", help="a short list, in one minute")
    made.add_argument("--threads", type=count, default=2)
    made.add_argument("--rounds", type=count, default=5, help="at least, of each entry")
    made.add_argument("--seconds", type=_positive, help="of an entry, after the least rounds")
    made.add_argument("--minutes", type=_positive, help="of the run: what comes later is left out")
    made.add_argument("--json", type=_file, metavar="FILE", help="write all results there")
    return made


def _names(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name]
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return chosen

    return names


def count(text: str) -> int:
    """A whole number from 1."""
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def _file(text: str) -> Path:
    """Where results can be written: it is asked before, not after, all of them are measured."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder; name a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    if not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"the folder {str(path.parent)!r} cannot be written")
    return path


class Run:
    """One run: prints each result as it comes, and keeps it."""

    def __init__(self, options: argparse.Namespace) -> None:
        from timing import Effort

        self.options = options
        seconds = options.seconds or (0.5 if options.quick else 1.5)
        self.effort = Effort(max(options.rounds, 2), seconds)
        self.short = Effort(max(options.rounds, 2), seconds / 4)
        minutes = options.minutes or (0.85 if options.quick else 9.0)
        self.seconds = 60 * minutes
        self.outcomes: list[Outcome] = []
        self.shares: list[Share] = []
        self.kernels: list[Recurrence] = []

    def tables(self, chosen: Sequence[str]) -> None:
        """Fill the chosen tables."""
        if "recurrence" in chosen:
            self.recurrence()
        if "entries" in chosen:
            self.entries(START + self.seconds * (FOR_ENTRIES if "cells" in chosen else 1))
        if "cells" in chosen:
            self.cells()

    def entries(self, deadline: float) -> None:
        """Time the chosen entries until the deadline."""
        import entries
        import report
        from peers import PEERS

        names = self.options.peers
        names = list(PEERS) if not names else list(dict.fromkeys(["recurra", *names]))
        if self.options.quick and not self.options.peers:  # the others compile for seconds
            names = [name for name in names if name not in ("keras", "jax")]
        for entry in chosen_entries(self.options):
            if time.perf_counter() > deadline:
                rows = [entries.Row("all", left_out="the time of this run (--minutes) was over")]
                outcome = entries.Outcome(entry, rows)
            else:
                outcome = entries.run(entry, names, self.effort)
            self.outcomes.append(outcome)
            print(report.entry_table(outcome), flush=True)

    def cells(self) -> None:
        """Every cell of the registry, or the chosen ones, against our LSTM."""
        import report
        import shares
        from recurra import cells

        print(report.SHARES_HEAD)
        chosen = self.options.cell or cells.names()
        for share in shares.run(chosen, self.short, START + self.seconds):
            self.shares.append(share)
            print(report.share_line(share), flush=True)

    def recurrence(self) -> None:
        """The kernels alone."""
        import recurrence
        import report

        print(report.RECURRENCE_HEAD)
        chosen = self.options.cell or ["lstm", "gru"][: 1 if self.options.quick else None]
        shapes = recurrence.SHAPES[: 1 if self.options.quick else None]
        for found in recurrence.run(chosen, self.short, shapes):
            self.kernels.append(found)
            print(report.recurrence_line(found), flush=True)

    @property
    def refused(self) -> bool:
        """Whether the gate has refused anything."""
        rows = any(row.refused for outcome in self.outcomes for row in outcome.rows)
        return rows or any(share.refused for share in self.shares)


def chosen_entries(options: argparse.Namespace) -> list[Entry]:
    """The entries that the options name."""
    import registry

    listed = registry.QUICK if options.quick else registry.FULL
    return registry.select(listed, options.cell, options.shape, options.use)


def chosen_tables(options: argparse.Namespace) -> Sequence[str]:
    """The tables that the options name: all, or only entries where entries are chosen."""
    if options.tables:
        return list(options.tables)
    if options.cell or options.shape or options.use or options.peers:
        return ["entries"]
    return TABLES[:2] if options.quick else TABLES


def same_threads(arguments: Sequence[str]) -> int:
    """The number of threads, given to libraries that read it when they are imported."""
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--threads", type=count, default=2)
    threads: int = early.parse_known_args(arguments)[0].threads
    os.environ["NPROC"] = str(threads)  # the pool of XLA
    if threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    return threads


def main(arguments: Sequence[str]) -> int:
    """Run, print and write; 1 if the gate refused something, 2 for a mistake in the options."""
    threads = same_threads(arguments)
    import torch

    import machine
    import report

    made = parser()
    options = made.parse_args(arguments)
    tables = chosen_tables(options)
    if "entries" in tables and not chosen_entries(options):
        made.error("no entry of the list has these; name --cell, --shape and --use together")
    torch.set_num_threads(threads)
    where, what = machine.machine(), machine.versions()
    print(report.heading(where, what), flush=True)
    done = Run(options)
    done.tables(tables)
    if options.json:
        command = shlex.join(["python", "benchmarks/run.py", *arguments])
        found: dict[str, Any] = report.as_json(
            command, where, what, done.outcomes, done.shares, done.kernels
        )
        report.write(options.json, found)
    return int(done.refused)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

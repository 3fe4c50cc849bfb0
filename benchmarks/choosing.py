"""Which cell learns what: chosen cells on tasks of memory and a text, with equal weights and steps.

    python benchmarks/choosing.py --json choosing.json
    python benchmarks/choosing.py --read choosing.json    # the table again

Every cell has two layers and as many units as bring its weights, head included, nearest to the
same number; on one task every run has the same steps of Adam on the same batches. The first seed
tries each rate of `RATES`; all seeds run at the one with the lower loss over the last tenth.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from machine import machine, versions
from recurra import cells as published
from recurra.data.long_range import Adding, Copying, Parity, TemporalOrder, TimedSpikes
from recurra.data.long_range.base import Batch, ClassesTask, LongRangeTask
from recurra.graph.facts import parameter_count
from recurra.nn import Recurrent
from sentences import ALPHABET, text

CELLS = (
    "elman,irnn,gru,lstm,lstm_peephole,lstm_cifg,mgu,janet,indrnn,clockwork,lem,mingru,hgrn,slstm"
)
RATES = (0.003, 0.01)
WEIGHTS = 5000
ROWS = 32
TESTED = 256  # fresh sequences


class Sentences(ClassesTask):
    """The generated text: in each step the next character is to be told, T = 64."""

    input_size = output_size = len(ALPHABET)
    solved = "compare bits per character"

    def batch(self, rows: int, generator: torch.Generator) -> Batch:
        """See `LongRangeTask.batch`."""
        seed = int(torch.randint(2**31, (), generator=generator))
        index = torch.tensor([ALPHABET.index(character) for character in text(rows * 65, seed)])
        index = index.view(rows, 65).T
        inputs = nn.functional.one_hot(index[:-1], self.input_size).float()
        asked = torch.ones(64, rows, dtype=torch.bool)
        return Batch(inputs, index[1:], asked, torch.full((rows,), 64))


COPYING = {"delay": 30, "length": 5, "symbols": 4}
UNITS = {"text": "bits", "copying": "of chance"}  # in the table; for other tasks see `Run.score`
TASKS: dict[str, tuple[Callable[[], LongRangeTask], int]] = {  # with the steps of training
    "copying": (lambda: Copying(**COPYING), 500),
    "order": (lambda: TemporalOrder(50), 250),
    "parity": (lambda: Parity(20, 30, every_step=True), 400),
    "timing": (lambda: TimedSpikes(distance=6, choices=3, steps=50), 200),
    "text": (Sentences, 400),
    "adding": (lambda: Adding(100), 1200),
}


class Network(nn.Module):
    """Two layers of a cell, and a head on each output."""

    def __init__(self, cell: str, task: LongRangeTask, units: int) -> None:
        super().__init__()
        self.layers = Recurrent(cell, task.input_size, units, num_layers=2)
        self.head = nn.Linear(units, task.output_size)

    def forward(self, batch: Batch) -> Tensor:
        output: Tensor = self.head(self.layers(batch.inputs)[0])
        return output


def weights(cell: str, task: LongRangeTask, units: int) -> int:
    """How many trained weights the network has."""
    graph = published.get(cell).graph
    layers = sum(
        parameter_count(graph, {"I": read, "H": units}) for read in (task.input_size, units)
    )
    return layers + (units + 1) * task.output_size


def units_for(cell: str, task: LongRangeTask) -> int:
    """The number of units whose network comes nearest to `WEIGHTS`."""
    return min(range(2, 200), key=lambda units: abs(weights(cell, task, units) - WEIGHTS))


@dataclass(frozen=True)
class Run:
    """One training: what was set, and what came out.

    Attributes:
        units: H.
        score: bits per character of the text, else the share of fresh sequences that are right.
        loss: mean over the last tenth of training; infinite after NaN.
        step: seconds of processor time of one training step.
    """

    cell: str
    task: str
    seed: int
    rate: float
    units: int
    weights: int
    score: float
    loss: float
    step: float


def train(cell: str, name: str, seed: int, rate: float) -> Run:
    """Train one network; batches depend on the seed alone."""
    torch.set_num_threads(1)
    make, steps = TASKS[name]
    task = make()
    torch.manual_seed(seed)
    network = Network(cell, task, units_for(cell, task))
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, rate)
    batches = task.batches(ROWS, seed)
    losses = []
    spent = 0.0
    for _ in range(steps):
        batch = next(batches)
        began = time.process_time()
        loss = task.loss(network(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        losses.append(loss.item())
        spent += time.process_time() - began
    last = statistics.fmean(losses[-steps // 10 :])
    units, size = network.layers.hidden_size, sum(p.numel() for p in parameters)
    last = math.inf if math.isnan(last) else last
    score = tested(network, task)
    return Run(cell, name, seed, rate, units, size, score, last, spent / steps)


@torch.no_grad()
def tested(network: Network, task: LongRangeTask) -> float:
    """The score on sequences that are the same for every run."""
    batch = next(task.batches(TESTED, seed=10_000))
    output = network(batch)
    if isinstance(task, Sentences):
        return float(task.loss(output, batch)) / math.log(2)
    return float(task.correct(output, batch).float().mean())


def better_rate(runs: Sequence[Run], cell: str, task: str) -> float:
    """The rate at which the first seed ended with the lower loss of training."""
    first = [run for run in runs if (run.cell, run.task, run.seed) == (cell, task, 0)]
    return min(first, key=lambda run: run.loss).rate


def chosen(runs: Sequence[Run], cell: str, task: str) -> list[Run]:
    """The runs of a cell on a task at its better rate."""
    rate = better_rate(runs, cell, task)
    return [run for run in runs if (run.cell, run.task, run.rate) == (cell, task, rate)]


def table(runs: Sequence[Run], cells: Sequence[str], tasks: Sequence[str]) -> str:
    """Markdown: the mean of each cell on each task, with the least and the greatest."""
    heads = [f"{task}, {UNITS.get(task, '% right')}" for task in tasks]
    lines = ["| " + " | ".join(["cell", "units", *heads, "ms a step"]) + " |"]
    lines.append("| --- " * (len(tasks) + 3) + "|")
    for cell in cells:
        groups = [chosen(runs, cell, task) for task in tasks]
        every = [run for group in groups for run in group]
        units = sorted({run.units for run in every})
        shown = [f"{units[0]}..{units[-1]}", *map(spread, groups)]
        step = 1e3 * statistics.median(run.step for run in every)
        lines.append(f"| `{cell}` | " + " | ".join(shown) + f" | {step:.1f} |")
    return "\n".join(lines)


def spread(runs: Sequence[Run]) -> str:
    """The mean over the seeds, with the least and the greatest in brackets."""
    task = runs[0].task
    if task == "copying":
        values = [run.loss / Copying(**COPYING).baseline for run in runs]
    else:
        values = [run.score if task in UNITS else 100 * run.score for run in runs]
    form = ".2f" if task in UNITS else ".0f"
    low, mean, high = (
        format(v, form) for v in (min(values), statistics.fmean(values), max(values))
    )
    return f"{mean} ({low}..{high})"


def read(path: Path) -> list[Run]:
    """The runs of a file that `--json` wrote."""
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"]
    return [Run(**run) for run in found]


def written(runs: Sequence[Run], seconds: int) -> str:
    """JSON with one run on a line."""
    facts = {"machine": machine(), "versions": versions(), "seconds": seconds}
    lines = ",\n".join(json.dumps(asdict(run)) for run in runs)
    return f'{json.dumps(facts)[:-1]}, "runs": [\n{lines}\n]}}\n'


def all_runs(cells: Sequence[str], tasks: Sequence[str], seeds: int, processes: int) -> list[Run]:
    """Every training: the first seed at each rate, the others at the better one."""
    runs: list[Run] = []
    pairs = [(cell, task) for task in tasks for cell in cells]
    total = len(pairs) * (len(RATES) + seeds - 1)
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:

        def add(settings: Sequence[tuple[str, str, int, float]]) -> None:
            for run in pool.map(train, *zip(*settings, strict=True)) if settings else ():
                runs.append(run)
                print(f"{len(runs)} of {total}: {run}", file=sys.stderr)

        add([(*pair, 0, rate) for rate in RATES for pair in pairs])
        rates = {pair: better_rate(runs, *pair) for pair in pairs}
        add([(*pair, seed, rates[pair]) for seed in range(1, seeds) for pair in pairs])
    return runs


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything that is asked for; print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cells", default=CELLS, help="names, by commas")
    parser.add_argument("--tasks", default=",".join(TASKS), help=f"of {', '.join(TASKS)}")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each cell")
    parser.add_argument("--processes", type=int, default=2, help="trainings at the same time")
    parser.add_argument("--json", type=Path, help="a file for every run")
    parser.add_argument("--read", type=Path, help="train nothing: the table of such a file")
    asked = parser.parse_args(arguments)
    cells, tasks = asked.cells.split(","), asked.tasks.split(",")
    if asked.read:
        print(table(read(asked.read), cells, tasks))
        return 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RECURRA_CACHE"] = folder  # each kernel is compiled once for all runs
        os.environ["OMP_NUM_THREADS"] = "1"
        runs = all_runs(cells, tasks, asked.seeds, asked.processes)
    seconds = round(time.monotonic() - began)
    print(table(runs, cells, tasks))
    print(f"\n{len(runs)} trainings in {seconds} s")
    if asked.json:
        asked.json.write_text(written(runs, seconds), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

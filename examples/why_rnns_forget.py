"""A plain network, an LSTM and a GRU learn to add two numbers; the gradient shows who forgets.

    python examples/why_rnns_forget.py [--steps 40] [--updates 600] [--out runs/forgetting]

Two of the numbers of a sequence are marked, and their sum is asked for at its end (Hochreiter &
Schmidhuber 1997). What has to be learnt lies far before the answer, so learning needs a gradient
that reaches it. With --out two pages are written, to be opened in a browser.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.text import Text
from torch import Tensor, nn

import recurra
from recurra.data.long_range import Adding
from recurra.data.long_range.base import Batch
from recurra.inspection import Recording, check_health, gradients_through_time
from recurra.inspection.findings import Finding
from recurra.inspection.gradients import Gradient
from recurra.inspection.measured import findings
from recurra.inspection.page import to_html
from recurra.inspection.sparkline import sparkline

# Gates start open, so that memories last from the beginning: Gers, Schmidhuber & Cummins 2000 for
# the LSTM, Jozefowicz, Zaremba & Sutskever 2015 for how much it matters. A plain cell has no gate.
OPEN = {"elman": {}, "lstm": {"b_f": 3.0}, "gru": {"b_z": 3.0}}
MEMORY = {"elman": "h", "lstm": "c", "gru": "h"}
DECADES = 8  # of the gradient that a curve shows


class Model(nn.Module):
    """(T, B, 2) numbers and marks -> (T, B, 1), of which the last step is the answer."""

    def __init__(self, cell: str, hidden: int) -> None:
        super().__init__()
        self.recurrent = recurra.Recurrent(cell, 2, hidden, init=OPEN[cell])
        self.head = nn.Linear(hidden, 1)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        output, _ = self.recurrent(x, lengths=lengths)
        return self.head(output)


@dataclass(frozen=True, eq=False)
class Learnt:
    """What one cell has learnt: its model, its score, and the gradient of its answer."""

    model: Model
    error: float
    right: float
    gradient: Gradient


def learn(cell: str, task: Adding, updates: int, hidden: int) -> Learnt:
    """Train a cell on fresh sequences and measure it on others."""
    torch.manual_seed(0)
    model = Model(cell, hidden)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for number, batch in enumerate(task.batches(32, seed=1, number=updates), start=1):
        loss = task.loss(model(batch.inputs, batch.lengths), batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if number % max(1, updates // 4) == 0:
            print(f"{cell:<6} update {number:>5}  loss {loss.item():.5f}", file=sys.stderr)
    (test,) = task.batches(500, seed=2, number=1)
    with torch.no_grad():
        answers = model(test.inputs, test.lengths)
    error, right = task.loss(answers, test), task.correct(answers, test).float().mean()
    return Learnt(model, error.item(), right.item(), gradient_of_answer(model, test, cell))


def gradient_of_answer(model: Model, batch: Batch, cell: str) -> Gradient:
    """How much the answers change with the memory of each step before them."""
    found = gradients_through_time(
        model,
        {"x": batch.inputs},
        states=MEMORY[cell],
        loss=lambda output: output[batch.asked].sum(),
        lengths=batch.lengths,
    )
    return next(iter(found.values()))


def picture(found: dict[str, Learnt], steps: int, width: int, plain: bool) -> list[Text]:
    """A line for each cell: its score, and its gradient from the first step to the last."""
    head = f"{'cell':<7}{'right':>6}{'a step back':>13}{f'{steps - 1} steps back':>15}  "
    curve = f"gradient at each step, 1e-{DECADES} to 1"
    lines = [Text(head + curve, "bold")]
    for cell, learnt in found.items():
        back = learnt.gradient.back[:steps]
        left = (back / back[0]).tolist()
        logs = [math.log10(value) if value > 0 else -math.inf for value in reversed(left)]
        drawn = sparkline(logs, width - len(head), -DECADES, 0, plain)
        factor = f"x {learnt.gradient.factor:.2f}"
        lines.append(
            Text(f"{cell:<7}{learnt.right:>6.0%}{factor:>13}{left[-1]:>15.0e}  ") + Text(drawn)
        )
    return lines


def write_pages(found: dict[str, Learnt], task: Adding, out: Path) -> None:
    """The plain network beside each of the others, reading the same sequence."""
    out.mkdir(parents=True, exist_ok=True)
    (batch,) = task.batches(1, seed=3, number=1)
    (first, one), *others = ((cell, look(cell, learnt, batch)) for cell, learnt in found.items())
    for cell, two in others:
        page = out / f"{first}-{cell}.html"
        page.unlink(missing_ok=True)
        to_html(
            one[0],
            page,
            compare=two[0],
            findings=one[1],
            compare_findings=two[1],
            titles=(first, cell),
            title="Why plain recurrent networks forget",
        )
        print(f"{page}: open it in a browser", file=sys.stderr)


def look(cell: str, learnt: Learnt, batch: Batch) -> tuple[Recording, tuple[Finding, ...]]:
    """The recording of one sequence, and what its measures found."""
    with torch.no_grad():
        recording = recurra.record(learnt.model, {"x": batch.inputs}, lengths=batch.lengths)
    items = tuple(f"{number:.2f}, {mark:.0f}" for number, mark in batch.inputs[:, 0].tolist())
    gradient = gradient_of_answer(learnt.model, batch, cell)
    found = findings(recording, check_health(recording), {gradient.address: gradient})
    return replace(recording, items=(items,)), found


def main(arguments: list[str] | None = None) -> int:
    """Train the three, print the picture, write the pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=40, help="of a sequence, 22 or more")
    parser.add_argument("--updates", type=int, default=600, help="of the weights of each network")
    parser.add_argument("--hidden", type=int, default=32, help="units of each network")
    parser.add_argument("--out", type=Path, help="a folder for pages")
    options = parser.parse_args(arguments)
    task = Adding(options.steps)
    found = {cell: learn(cell, task, options.updates, options.hidden) for cell in OPEN}
    console = Console(highlight=False)
    width = console.width if console.is_terminal else 100
    for line in picture(found, options.steps, width, console.options.ascii_only):
        console.print(line, soft_wrap=True)
    if options.out is not None:
        write_pages(found, task, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

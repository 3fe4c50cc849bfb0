"""What looking inside costs: the text model of the demo read as it is, and recorded; and its page.

python benchmarks/recording.py [--threads 2] [--steps 500]
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import torch

import recurra
from recurra.inspection import measure as measures
from recurra.tasks.text import TextModel, TextOptions
from timing import measure

SYMBOLS = 66
CHOICES = {
    "one value": ["recurrent.0.forward.f"],
    "all gates": ["*.i", "*.f", "*.o"],
    "all gates, c": ["*.i", "*.f", "*.g", "*.o", "*.c"],
    "everything": None,
}


def compare(model: TextModel, tokens: torch.Tensor) -> None:
    """Print the time of the model for a batch, then as multiples of it those of recordings."""
    functions = {"plain": partial(model, tokens)}
    for name, wanted in CHOICES.items():
        functions[name] = partial(recurra.record, model, tokens, wanted)
    with torch.no_grad():
        times = measure(functions)
    plain = times["plain"].median
    print(f"T {tokens.shape[0]}, B {tokens.shape[1]}")
    for name, spread in times.items():
        print(f"  {name:<14} {spread!s:<34} {spread.median / plain:.2f} x")


def page(model: TextModel, tokens: torch.Tensor) -> None:
    """Print the size of the page of one text, and how long it takes to make."""
    begin = time.perf_counter()
    with torch.no_grad():
        recording = recurra.record(model, tokens)
    recorded = time.perf_counter()
    text = recording.to_html()
    written = time.perf_counter()
    found = measures(recording, tokens)
    measured = time.perf_counter()
    print(
        f"page of {len(tokens)} characters: {len(text.encode()) / 1e6:.2f} MB; recorded in "
        f"{recorded - begin:.2f} s, written in {written - recorded:.2f} s, "
        f"{len(found)} measures in {measured - written:.2f} s"
    )


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    model = TextModel(SYMBOLS, TextOptions()).eval()
    for steps, rows in ((50, 30), (options.steps, 1)):
        compare(model, torch.randint(0, SYMBOLS, (steps, rows)))
    page(model, torch.randint(0, SYMBOLS, (options.steps, 1)))


if __name__ == "__main__":
    main()

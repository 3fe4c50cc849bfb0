"""Peak memory of training on one long sequence, as it is and in pieces (`checkpoint_every`).

python benchmarks/memory.py [--steps 100000] [--rows 4] [--size 128] [--every 1000] [--cell lstm]
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch

import recurra

MEGA = 1e6


def peak() -> float:
    """The most memory that this process has held, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss begins with what the process that started this one had
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        assert found is not None
        return int(found[1]) * 1024 / MEGA
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGA


def train(layer: torch.nn.Module, steps: int, rows: int, size: int) -> None:
    """Forward and backward, from a gradient for each output to one for each input."""
    x = torch.randn(steps, rows, size, requires_grad=True)
    output, _ = layer(x)
    output.backward(torch.randn_like(output))
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())


def measure(options: argparse.Namespace) -> None:
    """Print how far the peak rises (MB), and the seconds, once kernels are compiled."""
    every = options.every or None
    layer = recurra.Recurrent(options.cell, options.size, options.size, checkpoint_every=every)
    train(layer, 2 * (every or 1000), options.rows, options.size)
    layer.zero_grad()
    before, begin = peak(), time.perf_counter()
    train(layer, options.steps, options.rows, options.size)
    print(peak() - before, time.perf_counter() - begin)


def arguments() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=100_000, help="T")
    parser.add_argument("--rows", type=int, default=4, help="B")
    parser.add_argument("--size", type=int, default=128, help="I and H")
    parser.add_argument("--every", type=int, default=1000, help="steps of a piece")
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Print a table, each line measured in a process of its own."""
    options = arguments().parse_args()
    if options.child:
        measure(options)
        return
    one = 4 * options.steps * options.rows * options.size / MEGA
    print(f"T {options.steps:,}, B {options.rows}, I = H = {options.size}, {options.cell}, float32")
    print(f"input, output and their gradients: 4 x {one:.0f} = {4 * one:.0f} MB")
    for every in (0, options.every):
        command = [sys.executable, __file__, "--child", "--every", str(every)]
        for name in ("steps", "rows", "size", "cell"):
            command += [f"--{name}", str(getattr(options, name))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rise, seconds = map(float, done.stdout.split())
        what = f"checkpoint_every={every}" if every else "as it is"
        print(f"{what:<24} {rise:8.0f} MB  x {rise / (4 * one):.2f}  {seconds:6.2f} s")


if __name__ == "__main__":
    main()

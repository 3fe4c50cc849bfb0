"""Layers of recurra against their namesakes in torch: training and inference, after a check.

python benchmarks/layers.py [--threads 2] [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable

import torch

import recurra
from timing import alternate, row

# T, B, I, H
SHAPES = {"text": (50, 32, 300, 300), "forecast": (96, 32, 8, 64), "wide": (50, 64, 512, 1024)}


def check(ours: torch.nn.Module, theirs: torch.nn.Module, x: torch.Tensor) -> None:
    """Refuse to time layers that do not compute the same."""
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=1e-3, atol=1e-4)


def training(layer: torch.nn.Module, x: torch.Tensor, d: torch.Tensor) -> Callable[[], None]:
    """Forward, backward, all gradients."""

    def run() -> None:
        layer.zero_grad()
        layer(x)[0].backward(d)

    return run


def inference(layer: torch.nn.Module, x: torch.Tensor) -> Callable[[], None]:
    """Forward, keeping nothing."""

    def run() -> None:
        with torch.no_grad():
            layer(x)

    return run


def main() -> None:
    """Print a table for each shape and cell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, recurra {recurra.__version__}, {options.threads} threads")
    for shape, (t, b, i, h) in SHAPES.items():
        for kind in ("LSTM", "GRU", "RNN"):
            torch.manual_seed(0)
            theirs = getattr(torch.nn, kind)(i, h)
            ours = recurra.nn.from_torch(theirs)
            x, d = torch.randn(t, b, i, requires_grad=True), torch.randn(t, b, h)
            check(ours, theirs, x)
            print(f"\n{shape}: T {t}, B {b}, I {i}, H {h}, {kind}")
            for what, make in (
                ("training", lambda layer, x=x, d=d: training(layer, x, d)),
                ("inference", lambda layer, x=x: inference(layer, x)),
            ):
                times = alternate({"recurra": make(ours), "torch": make(theirs)}, options.rounds)
                medians = [statistics.median(times[name]) for name in ("torch", "recurra")]
                print(row(f"  {what}, torch", times["torch"]))
                print(
                    row(f"  {what}, recurra", times["recurra"], f"x {medians[0] / medians[1]:.2f}")
                )


if __name__ == "__main__":
    main()

"""What surrounds the recurrence: large products by each library, and dropout masks.

python benchmarks/parts.py [--threads 1]
"""

from __future__ import annotations

import argparse
from functools import partial

import torch
from torch.nn.functional import dropout

from products import products
from recurra.nn.dropout import mask
from timing import measure

T, B, I, G, H = 50, 32, 300, 4, 300


def main() -> None:
    """Print both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    torch.set_num_threads(parser.parse_args().threads)
    x, weight = torch.randn(T * B, I), torch.randn(G * H, I)
    flops = 2 * T * B * I * G * H
    with torch.no_grad():
        times = measure(
            {f"product, {name}": partial(one, x, weight) for name, one in products().items()}
        )
    for name, spread in times.items():
        print(f"{name:<20} {spread!s:<34} {flops / spread.median / 1e9:.0f} GFLOP/s")
    values = torch.randn(T, B, H)
    times = measure(
        {
            "dropout, torch": lambda: dropout(values, 0.2),
            "dropout, recurra": lambda: values * mask(values, 0.2, values.shape),
        }
    )
    for name, spread in times.items():
        print(f"{name:<20} {spread}")


if __name__ == "__main__":
    main()

"""Teams of threads that share the units of a step."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: where members miss one another, they wait for ever.
SIZES = """
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle
import torch, recurra
from recurra.backends.cpu import threads

def ready(share, table, _):
    def call():
        size = next(sizes)
        with ThreadPoolExecutor(size) as pool:
            list(pool.map(lambda k: threads._callable(share)(table, k, size), range(size)))
    return call

torch.set_num_threads(2)
layer, sequence = recurra.Recurrent("gru", 160, 160), torch.randn(8, 1, 160)
stream = layer.stream(1)
expected = [stream.step(x) for x in sequence]
threads.ready, sizes = ready, cycle((3, 2, 4, 1))
stream = layer.stream(1)
assert all(torch.equal(stream.step(x), y) for x, y in zip(sequence, expected))
"""


def test_a_table_serves_teams_of_any_size():
    """OpenMP may give another number of threads to each call of a stream."""
    subprocess.run([sys.executable, "-c", SIZES], check=True, timeout=120)

"""A large text takes no more memory than a small one."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("resource")

MEGABYTE = 2**20
LARGE = 300 * MEGABYTE

PROGRAM = """
import resource, sys
from recurra.data import Streams, TextCorpus

corpus = TextCorpus.read(sys.argv[1], sys.argv[2])
streams = Streams(corpus.train, 64, 4096)
read = sum(streams.chunk(index)[0].numel() for index in range(len(streams)))
unit = 1 if sys.platform == "darwin" else 1024
print(read, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
"""


def peak(path, folder):
    """Tokens read and the peak of resident memory, in bytes, of preparing and reading a text."""
    command = [sys.executable, "-c", PROGRAM, str(path), str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [int(number) for number in done.stdout.split()]


def test_memory_does_not_grow_with_the_text(tmp_path):
    part = ("".join(map(chr, range(32, 127))) + "\r\né😀\n").encode() * 10_000
    small, large = tmp_path / "small.txt", tmp_path / "large.txt"
    small.write_bytes(part)
    with large.open("wb") as file:
        for _ in range(LARGE // len(part)):
            file.write(part)
    read_small, peak_small = peak(small, tmp_path / "a")
    read_large, peak_large = peak(large, tmp_path / "b")
    assert read_large > 250 * read_small
    assert peak_large - peak_small < 50 * MEGABYTE

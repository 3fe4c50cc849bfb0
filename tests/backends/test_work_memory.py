"""Work memory that is kept between calls."""

from __future__ import annotations

import pytest
import torch

import recurra
from recurra.backends.cpu import memory

LIKE = torch.empty(0)


@pytest.fixture(autouse=True)
def nothing_kept():
    memory.release_memory()
    yield
    memory.release_memory()


def used(count: int) -> int:
    """The address of memory for so many numbers, which is given back."""
    return memory.empty(LIKE, count).data_ptr()


def test_what_was_unused_for_longest_makes_room(monkeypatch):
    monkeypatch.setattr(memory, "_MOST", 2**21)
    for count in range(100_000, 300_000, 20_000):
        used(count)
    assert memory._kept <= 2**21
    assert memory._kept == sum(size * len(blocks) for size, blocks in memory._free.items())
    assert used(280_000) == used(280_000)
    used(2**20)  # larger than all that may be kept
    assert memory._kept <= 2**21


def test_sizes_that_differ_little_share_memory():
    assert used(1_000_000) == used(990_000)


@pytest.mark.parametrize("count", [2**14, 2**14 + 1, 2**18, 10**6, 2**20 - 1, 3 * 2**22 + 5])
def test_no_more_than_an_eighth_too_much(count):
    size = memory._rounded(4 * count)
    assert 4 * count <= size <= max(4.5 * count, 4 * count + 2**16)


def test_what_is_not_in_use_is_given_back():
    in_use = memory.empty(LIKE, 200_000).fill_(3.0)
    used(300_000)
    memory.work(10**6)
    assert memory._kept
    assert memory._work.block is not None
    recurra.release_memory()
    assert not memory._kept
    assert not memory._free
    assert memory._work.block is None
    assert (in_use == 3.0).all()

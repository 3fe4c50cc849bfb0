"""What all tests share. This file also puts tests/ on the import path, for `support`."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# The same examples in every run, and no limit on the time of one: machines differ.
settings.register_profile(
    "recurra", deadline=None, derandomize=True, database=None, max_examples=50
)
settings.load_profile("recurra")


def pytest_collection_finish() -> None:
    """Garbage is looked for less often, and not in what is imported: a tenth of all time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the benchmarks, whose programs import one another by their bare names."""
    folder = Path(__file__).parent.parent / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    threads = torch.get_num_threads()
    yield folder
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """One thread for these tiny models: several would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # for the programs that the tests start
        yield
    torch.set_num_threads(before)

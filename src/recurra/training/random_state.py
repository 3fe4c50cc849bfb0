"""The state of every global random generator, as tensors of fixed shape."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor


def seed(number: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch on all devices."""
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)


def capture() -> dict[str, Tensor]:
    """The state of all generators of this process, for `restore`."""
    _, words, gauss = random.getstate()
    _, key, position, has_gauss, cached = np.random.get_state()
    state = {
        "python": torch.tensor(words),
        "python_gauss": torch.tensor([gauss is not None, gauss or 0.0], dtype=torch.float64),
        "numpy": torch.tensor([*key.tolist(), position]),  # type: ignore[attr-defined]
        "numpy_gauss": torch.tensor([has_gauss, cached], dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    if torch.backends.mps.is_available():
        state["mps"] = torch.mps.get_rng_state()
    return state


def restore(state: dict[str, Tensor]) -> None:
    """Put back what `capture` gave. A device that is not here is left out."""
    has_gauss, cached = state["python_gauss"].tolist()
    words = tuple(state["python"].tolist())
    random.setstate((3, words, cached if has_gauss else None))
    *key, position = state["numpy"].tolist()
    has_gauss, cached = state["numpy_gauss"].tolist()
    words32 = np.array(key, dtype=np.uint32)
    np.random.set_state(("MT19937", words32, position, int(has_gauss), cached))
    # Clones: PyTorch 2.13 reads these bytes from the start of the storage, and crashes on a view.
    torch.set_rng_state(state["torch"].clone())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].clone())
    if "mps" in state and torch.backends.mps.is_available():
        torch.mps.set_rng_state(state["mps"].clone())


@contextmanager
def kept() -> Iterator[None]:
    """What happens inside draws nothing from the generators, as seen from outside."""
    state = capture()
    try:
        yield
    finally:
        restore(state)

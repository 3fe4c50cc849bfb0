"""Sequences whose addresses lie more than 2**31 elements apart, of which few pages exist."""

from __future__ import annotations

from torch import Tensor

from support.guarded import PAGE, open_pages, reserve, tensor_at

APART = 2**31 + 2**12  # elements from a step to the next
_kept: list[Tensor] = []  # the pages are never given back


def sequence(value: Tensor) -> Tensor:
    """The same numbers (T, B, size), with `APART` elements between steps and pages between rows."""
    steps, rows, size = value.shape
    width = value.element_size()
    row = PAGE // width
    assert size <= row
    base = reserve(((steps - 1) * APART + rows * row) * width)
    for t in range(steps):
        open_pages(base + t * APART * width, rows * PAGE)
    count = (steps - 1) * APART + rows * row
    whole = tensor_at(base, count * width, value.dtype, lambda: None)
    _kept.append(whole)
    found = whole.as_strided((steps, rows, size), (APART, row, 1))
    return found.copy_(value)

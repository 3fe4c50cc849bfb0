"""Numbers as text for a page: quantised, compressed, base64; what was lost is stated."""

from __future__ import annotations

import base64
import zlib
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Bits = Literal[8, 16, 32]


def _text(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 6)).decode("ascii")


def _planes(values: NDArray[Any]) -> bytes:
    """First all first bytes, then all second bytes, ...: equal exponents lie side by side."""
    width = values.dtype.itemsize
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(-1, width).T.tobytes()


def pack(values: Array, bits: Bits) -> dict[str, Any]:
    """(T, U) numbers as a part of the page's document, one unit after another.

    With 8 and 16 bits, every unit has a scale of its own: code 0 is the least number of the unit,
    code 2^bits - 2 the largest, and the code above it one that is not finite; no number is off by
    more than half a step. With 32 bits the float32 itself is kept.
    """
    by_unit = np.ascontiguousarray(values.T, dtype=np.float32)
    steps, units = values.shape
    head = {"bits": bits, "steps": steps, "units": units}
    if bits == 32:
        return head | {"data": _text(_planes(by_unit))}
    top = 2**bits - 2
    finite = np.isfinite(by_unit)
    low = np.where(finite, by_unit, np.inf).min(axis=1, initial=np.inf)
    high = np.where(finite, by_unit, -np.inf).max(axis=1, initial=-np.inf)
    low = np.where(np.isfinite(low), low, 0.0).astype(np.float64)
    step = (np.where(np.isfinite(high), high, 0.0) - low) / top
    safe = np.where(step > 0, step, 1.0)[:, None]
    scaled = np.rint((np.where(finite, by_unit, low[:, None]) - low[:, None]) / safe)
    codes = np.where(finite, scaled.clip(0, top), top + 1).astype(f"u{bits // 8}")
    scales = np.stack([low, step], axis=1)
    return head | {"scales": _text(scales.astype("<f8").tobytes()), "data": _text(_planes(codes))}


def colour_range(
    values: Array, limit: tuple[float, float] | None
) -> tuple[float, float, float | None]:
    """The ends of the colours of a value, and the share of its numbers that lie within.

    The bounds of its equation, if it has some. Else the largest size, from 0 or symmetric about
    it; and where few numbers are far larger than all others, the size that 99 % do not exceed.
    """
    if limit is not None:
        return *limit, None
    finite = values[np.isfinite(values)]
    sizes = np.abs(finite)
    most = float(sizes.max()) if finite.size else 1.0
    share = 1.0
    if finite.size and most > 2 * (usual := float(np.quantile(sizes, 0.99))) > 0:
        most, share = usual, float((sizes <= usual).mean())
    most = most or 1.0
    return (0.0 if finite.size and float(finite.min()) >= 0 else -most), most, share

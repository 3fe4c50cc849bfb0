"""The sequence of one row for a page: its items, or its curves, and what was predicted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

LONGEST = 200  # characters of one item; the page says where it has cut
TOP = 5


def _numbers(item: str) -> list[float] | None:
    try:
        found = [float(part) for part in item.replace(",", " ").split()]
    except ValueError:
        return None
    return found if found and all(map(math.isfinite, found)) else None


def shown_items(items: Sequence[str], steps: int) -> dict[str, Any]:
    """What stands along the top: "characters", "words", "numbers" with channels, or "steps"."""
    if not items:
        return {"kind": "steps", "items": [str(t) for t in range(steps)], "cut": 0}
    items = items[:steps]
    clipped = [item if len(item) <= LONGEST else item[:LONGEST] + "…" for item in items]
    head = {"items": clipped, "cut": sum(len(item) > LONGEST for item in items)}
    numbers = [_numbers(item) for item in items]
    digits_only = all(len(item) == 1 for item in items)
    widths = {len(n) if n is not None else 0 for n in numbers}
    if len(widths) == 1 and 0 not in widths and not digits_only:
        channels = [[n[k] for n in numbers if n is not None] for k in range(widths.pop())]
        return head | {"kind": "numbers", "channels": channels}
    single = sum(len(item) <= 2 for item in items) >= 0.9 * len(items)
    return head | {"kind": "characters" if single else "words"}


def prediction(
    logits: Tensor, vocabulary: Sequence[str], items: Sequence[str], first: int
) -> dict[str, Any]:
    """The likeliest next items at each step, and how surprising each item was.

    Args:
        logits: (T, V), at step t for the item of step t + 1, from the first shown step on.
        vocabulary: V items.
        items: (T,) what stood at each step.
        first: number of the first step; only at 0 nothing was predicted before it.

    Returns:
        `top` (T, k) indices into `vocabulary`, `probability` (T, k), and `surprisal` (T,), in
        bits: -log2 of the probability that the step before gave to this item; None at the first.
    """
    log_p = torch.log_softmax(logits.detach().to("cpu", torch.float64), dim=-1)
    best = log_p.topk(min(TOP, log_p.shape[-1]), dim=-1)
    index = {item: k for k, item in enumerate(vocabulary)}
    surprisal: list[float | None] = [None]
    for step, item in enumerate(items[1:]):
        known = index.get(item)
        bits = -log_p[step, known].item() / math.log(2) if known is not None else math.nan
        surprisal.append(round(bits, 3) if math.isfinite(bits) else None)
    used = sorted({k for row in best.indices.tolist() for k in row})
    place = {k: n for n, k in enumerate(used)}
    return {
        "vocabulary": [vocabulary[k][:LONGEST] for k in used],
        "top": [[place[k] for k in row] for row in best.indices.tolist()],
        "probability": [[round(p, 5) for p in row] for row in best.values.exp().tolist()],
        "surprisal": surprisal,
        "size": len(vocabulary),
        "first": first,
    }

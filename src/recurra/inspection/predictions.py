"""What a recorded model expected at each step, and how surprising each item was."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from recurra.inspection.recording import Recording

TOP = 5


@dataclass(frozen=True)
class Prediction:
    """One item and what was expected in its place.

    Attributes:
        step: of the item, from 0.
        item: what came.
        bits: -log2 of the probability that it was given; NaN for the first item of a row.
        top: the likeliest items with their probabilities, the likeliest first.
    """

    step: int
    item: str
    bits: float
    top: tuple[tuple[str, float], ...]


def predictions(recording: Recording, row: int = 0) -> tuple[Prediction, ...]:
    """One for each item of a row; none if the recording has no logits or no items.

    An item that the vocabulary does not have is measured as its first symbol, which is where such
    items are counted.
    """
    if recording.logits is None or not recording.items or not recording.vocabulary:
        return ()
    items = recording.items[row]
    log_p = torch.log_softmax(recording.logits[:, row].detach().cpu().double(), dim=-1)
    best = log_p.topk(min(TOP, log_p.shape[-1]), dim=-1)
    numbers = {symbol: number for number, symbol in enumerate(recording.vocabulary)}
    found = [Prediction(0, items[0], math.nan, ())] if items else []
    for step, item in enumerate(items[1:], start=1):
        bits = -log_p[step - 1, numbers.get(item, 0)].item() / math.log(2)
        values, places = best.values[step - 1].exp().tolist(), best.indices[step - 1].tolist()
        top = tuple((recording.vocabulary[n], p) for n, p in zip(places, values, strict=True))
        found.append(Prediction(step, item, bits, top))
    return tuple(found)

"""How well a model predicts a text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from recurra.data import Streams, Tokens, characters
from recurra.errors import DataError
from recurra.nn import State, select
from recurra.nn.modes import evaluating

_STREAM = 2000  # characters a stream has at least: its first ones are predicted from little
_MOST_STREAMS = 64
_CHUNK = 100


def score(
    model: nn.Module, tokens: Tokens, device: torch.device, streams: int | None = None
) -> dict[str, float]:
    """Predict every character of a text but the first, the state carried along parallel streams.

    Args:
        model: (T, B) int64 and a state -> logits (T, B, V) and the state, as `TextModel`.
        tokens: the text, at least 2 characters.
        device: where the model is.
        streams: parts that are read side by side, each from an empty state; None: by the length.

    Returns:
        `bits_per_char`, `loss` (the same in nats), `perplexity` (e to the loss), `accuracy` (share
        of characters that were the likeliest), `characters` (how many were predicted), and
        `unknown` (how many of them the vocabulary does not have).

    Raises:
        DataError: the text is too short.
    """
    if len(tokens) < 2:
        raise DataError(f"the text has {characters(len(tokens))}; 2 are needed to predict one.")
    rows = streams or max(1, min(_MOST_STREAMS, len(tokens) // _STREAM))
    totals = torch.zeros(3, dtype=torch.float64)
    with evaluating(model), torch.inference_mode():
        for logits, targets in _predictions(model, tokens, rows, device):
            totals += _totals(logits.flatten(0, 1).float(), targets.flatten()).cpu()
    predicted = len(tokens) - 1
    loss, right, unknown = totals.tolist()
    nats = loss / predicted
    return {
        "bits_per_char": nats / math.log(2),
        "loss": nats,
        "perplexity": math.exp(min(nats, 700.0)),  # beyond, the number format ends
        "accuracy": right / predicted,
        "characters": predicted,
        "unknown": int(unknown),
    }


def _predictions(
    model: nn.Module, tokens: Tokens, rows: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits (T, B, V) and targets (T, B) for all of the text."""
    parts = Streams(tokens, rows, _CHUNK)
    state: State | None = None
    for index in range(len(parts)):
        inputs, targets = (part.to(device) for part in parts.chunk(index))
        logits, state = model(inputs, state)
        yield logits, targets
    # The streams are of equal length; the last one goes on to the end of the text.
    rest = torch.from_numpy(tokens[parts.length * rows : len(tokens)]).to(device)[:, None]
    if len(rest) > 1:
        last = select(cast(State, state), torch.tensor([rows - 1], device=device))
        logits, _ = model(rest[:-1], last)
        yield logits, rest[1:]


def _totals(logits: Tensor, targets: Tensor) -> Tensor:
    """(3,): sum of the losses in nats, right answers, characters that are not in the vocabulary."""
    loss = cross_entropy(logits, targets, reduction="sum")
    right = (logits.argmax(-1) == targets).sum()
    return torch.stack([loss, right, (targets == 0).sum()])

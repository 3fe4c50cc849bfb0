"""Decoding: text from a model, one character at a time, its state carried from step to step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recurra.data import Vocabulary, warn_of_unknown
from recurra.errors import DivergedError, UsageError
from recurra.nn import State, select
from recurra.nn.modes import evaluating

_PROMPT_BLOCK = 500  # characters of a prompt read at a time
_FIRST = "\n"

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Token:
    """One step of decoding.

    Attributes:
        characters: the new character of each sample.
        log_probs: log of the probability (nats) that the model gave to it, before temperature,
            top_k and top_p.
    """

    characters: tuple[str, ...]
    log_probs: tuple[float, ...]


@dataclass(frozen=True)
class Sampler:
    """How a character is chosen from the scores of a model; never `<unk>`.

    Args:
        temperature: the scores are divided by it: below 1 the likely becomes likelier.
        top_k: choose among so many of the likeliest; 1 is the greedy choice.
        top_p: choose among the fewest of the likeliest that together have this probability, after
            temperature and top_k.

    Raises:
        UsageError: a value that is not possible.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise UsageError(
                f"temperature is {self.temperature}; give a number above 0. "
                "The likeliest character at each step is chosen by top_k=1 (--top-k 1)."
            )
        if self.top_k is not None and self.top_k < 1:
            raise UsageError(f"top_k is {self.top_k}; give 1 or more, or leave it out.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(
                f"top_p is {self.top_p}; give a number above 0 and up to 1, or leave it out."
            )

    def choose(self, log_probs: Scores, random: np.random.Generator) -> NDArray[np.int64]:
        """Choose a symbol in each row.

        Args:
            log_probs: (N, V) of the model.
            random: where chance comes from.

        Returns:
            (N,) numbers of symbols, 1 or more.
        """
        scores = self._filtered(log_probs)
        # The largest of scores plus Gumbel noise is a draw from their softmax (Gumbel 1954).
        chosen: NDArray[np.int64] = (scores + random.gumbel(size=scores.shape)).argmax(-1)
        return chosen

    def _filtered(self, log_probs: Scores) -> Scores:
        """Scores after temperature, -inf for what must not be chosen."""
        scores = log_probs.copy()
        scores[:, 0] = -np.inf
        scores -= scores.max(-1, keepdims=True)  # before the division: no infinity less infinity
        with np.errstate(over="ignore"):
            scores /= self.temperature
        if self.top_k is None and self.top_p is None:
            return scores
        order = (-scores).argsort(-1, kind="stable")
        ranked = np.take_along_axis(scores, order, -1)
        if self.top_k is not None:
            ranked[:, self.top_k :] = -np.inf
        if self.top_p is not None:
            shares = np.exp(ranked)
            before = shares.cumsum(-1) - shares
            ranked[before >= self.top_p * shares.sum(-1, keepdims=True)] = -np.inf
        np.put_along_axis(scores, order, ranked, -1)
        return scores


class Reader(ABC):
    """Reads the characters of N texts, one a call, and holds the state between calls."""

    @abstractmethod
    def step(self, tokens: Tensor) -> Tensor:
        """Scores (N, V) of what follows the characters (N,) int64."""


class Streamed(ABC):
    """A model that gives out a reader of its own, faster than calls of the model."""

    @abstractmethod
    def reader(self, state: State) -> Reader:
        """A reader that goes on from a state, without dropout."""


class _Calls(Reader):
    """Any model, called once a character."""

    def __init__(self, model: nn.Module, state: State) -> None:
        self._model, self._state = model, state

    def step(self, tokens: Tensor) -> Tensor:
        logits, self._state = _called(self._model, tokens[None], self._state)
        return logits


def generate(
    model: nn.Module,
    vocabulary: Vocabulary,
    prompt: str = "",
    max_new: int = 500,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    num_samples: int = 1,
) -> Iterator[Token]:
    """Go on with a text; each step is computed when it is asked for.

    Args:
        model: (T, B) int64 and a state -> logits (T, B, V) and the state, as `TextModel`. Dropout
            is off while it is used.
        vocabulary: of the model.
        prompt: the text to go on from; "": a new line. A warning names characters never seen.
        max_new: characters of each sample.
        temperature, top_k, top_p: see `Sampler`.
        seed: the same for the same text; None: another text each time.
        num_samples: N texts, side by side.

    Raises:
        UsageError: a value that is not possible.
        DivergedError: (at a step) the model's scores are not numbers.

    Example:
        for token in generate(model, vocabulary, "Once ", max_new=100):
            print(token.characters[0], end="", flush=True)
    """
    for name, number, least in (
        ("max_new", max_new, 1),
        ("num_samples", num_samples, 1),
        ("seed", seed, 0),
    ):
        if number is not None and number < least:
            raise UsageError(f"{name} is {number}; give {least} or more.")
    sampler = Sampler(temperature, top_k, top_p)
    warn_of_unknown(vocabulary.unknown(prompt))
    first = _FIRST if _FIRST in vocabulary.symbols else vocabulary.symbols[1]
    start = torch.from_numpy(vocabulary.encode(prompt or first))
    random = np.random.default_rng(seed)
    return _steps(model, vocabulary, start, max_new, sampler, random, num_samples)


def _steps(
    model: nn.Module,
    vocabulary: Vocabulary,
    start: Tensor,
    max_new: int,
    sampler: Sampler,
    random: np.random.Generator,
    num_samples: int,
) -> Iterator[Token]:
    device = next(model.parameters()).device
    logits, state = _read(model, start.to(device), num_samples)
    reader = model.reader(state) if isinstance(model, Streamed) else _Calls(model, state)
    rows = np.arange(num_samples)
    for left in reversed(range(max_new)):
        log_probs = _log_probs(logits)
        chosen = sampler.choose(log_probs, random)
        yield Token(
            tuple([vocabulary.symbols[symbol] for symbol in chosen.tolist()]),
            tuple(log_probs[rows, chosen].tolist()),
        )
        if left:
            logits = reader.step(torch.from_numpy(chosen).to(device))


def _read(model: nn.Module, start: Tensor, num_samples: int) -> tuple[Tensor, State]:
    """Read the prompt once, and give what follows it to each sample: logits (N, V), the state."""
    state: State | None = None
    for block in start[:, None].split(_PROMPT_BLOCK):
        logits, state = _called(model, block, state)
    assert state is not None
    rows = torch.zeros(num_samples, dtype=torch.int64, device=start.device)
    return logits.repeat(num_samples, 1), select(state, rows)


def _called(model: nn.Module, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Read characters (T, N): logits (N, V) of those after them, and the state."""
    # Set here and not around the loop: between two steps the caller's own settings hold.
    with evaluating(model), torch.inference_mode():
        logits, after = model(tokens, state)
    return logits[-1], after


def _log_probs(logits: Tensor) -> Scores:
    """Log-probabilities (N, V).

    Raises:
        DivergedError: they are not numbers.
    """
    scores: Scores = logits.detach().cpu().double().numpy()
    scores = scores - scores.max(-1, keepdims=True)
    log_probs: Scores = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    if not np.isfinite(log_probs.sum()):
        raise DivergedError(
            "the model's scores are not finite numbers: its training diverged. Train anew with a "
            "lower --lr or --clip-norm."
        )
    return log_probs

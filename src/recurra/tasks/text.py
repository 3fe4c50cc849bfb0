"""Text: predict each character from all characters before it.

The text `hello` is four examples. The model reads `h`, `e`, `l`, `l`, one a step, and is to answer

    after h    e      after he   l      after hel  l      after hell  o

Its answer is a probability for each symbol of the vocabulary. The loss is -log of the probability
it gave to the character that came, averaged; with base 2 it is the bits that an ideal compressor
with this model spends on a character. A model that knows nothing of V symbols needs log2(V) bits.

    >>> from recurra.data import TextCorpus
    >>> task = TextGeneration(TextCorpus.from_text("hello " * 100), TextOptions(hidden=16), 4, 10)
    >>> model = task.build_model()
    >>> loss, state = task.train_loss(model, 0, None, slice(None), torch.device("cpu"))
    >>> loss.backward()
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from recurra import cells
from recurra.data import Part, Streams, TextCorpus, characters
from recurra.data.vocabulary import UNKNOWN
from recurra.errors import DataError
from recurra.nn import Dropout, Recurrent
from recurra.nn import State as LayerState
from recurra.tasks.base import State, Task
from recurra.tasks.decoding import Reader, Streamed, generate
from recurra.tasks.options import Options
from recurra.tasks.scoring import score

VOCABULARY = "vocabulary.json"
_SAMPLE = 200  # characters shown after an evaluation
_PROBE = (4, 100)  # streams and characters with which the model is looked into


class TextOptions(Options):
    """The options of a `TextModel`."""

    cell: str = Field("lstm", description="kind of cell")
    hidden: int = Field(300, ge=1, description="units of a layer")
    layers: int = Field(2, ge=1, description="layers")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of values dropped after a layer")
    embedding: int = Field(128, ge=1, description="numbers that stand for a character")
    sizes: dict[str, int] = Field({}, description="sizes that the cell reads beside I and H")

    @field_validator("cell")
    @classmethod
    def _check_cell(cls, value: str) -> str:
        cells.get(value)
        return value


class TextModel(nn.Module, Streamed):
    """Characters in, a score for each character that may come next out.

    Args:
        symbols: V, size of the vocabulary.
        options: of the model.
    """

    def __init__(self, symbols: int, options: TextOptions) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, options.embedding)
        self.recurrent = Recurrent(
            options.cell,
            options.embedding,
            options.hidden,
            options.layers,
            dropout=options.dropout,
            sizes=options.sizes,
        )
        self.dropout = Dropout(options.dropout)
        self.head = nn.Linear(self.recurrent.output_size, symbols)

    def forward(self, tokens: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Score the characters that may follow each character.

        Args:
            tokens: (T, B) int64.
            state: as it was returned; None at the start of a text.

        Returns:
            logits (T, B, V), and the state after the last step, each of its tensors (layers, B, H).
        """
        output, state = self.recurrent(self.embedding(tokens), state)
        return self.head(self.dropout(output)), state

    def reader(self, state: LayerState) -> TextReader:
        """See `Streamed`."""
        return TextReader(self, state)


class TextReader(Reader):
    """A `TextModel` that reads one character a call."""

    def __init__(self, model: TextModel, state: LayerState) -> None:
        self._embedding, self._head = model.embedding, model.head
        parts = (state,) if isinstance(state, Tensor) else state
        self._stream = model.recurrent.stream(parts[0].shape[1])
        self._stream.state = state

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        """See `Reader`."""
        return self._head(self._stream.step(self._embedding(tokens)))


class TextGeneration(Task):
    """Learn to write like a text, by stateful truncated back-propagation over parallel streams.

    Args:
        corpus: the text.
        options: of the model.
        batch_size: B, streams.
        seq_len: T, characters through which gradients go back.
        most_validation: characters of the held-out part that are measured, from its start.

    Raises:
        DataError: the text is too short for so many streams, or to hold a part of it out.
        UsageError: a size is below 1.
    """

    name: ClassVar[str] = "text"
    monitor: ClassVar[str] = "bits_per_char"

    def __init__(
        self,
        corpus: TextCorpus,
        options: TextOptions | None = None,
        batch_size: int = 32,
        seq_len: int = 50,
        most_validation: int = 200_000,
    ) -> None:
        self.corpus, self.options = corpus, options or TextOptions()
        self.batch_size, self.seq_len = batch_size, seq_len
        self._streams = Streams(corpus.train, batch_size, seq_len)
        self._held_out = Part(corpus.validation, 0, most_validation)
        if len(self._held_out) < 2:
            raise DataError(
                f"the held-out part of the text has {characters(len(self._held_out))}, but 2 are "
                "needed to measure anything. Take a longer text or a larger validation_share "
                "(--validation-share)."
            )
        self.train_steps_per_epoch = len(self._streams)
        self.fingerprint = corpus.fingerprint

    def build_model(self) -> TextModel:
        """A new `TextModel`."""
        return TextModel(len(self.corpus.vocabulary), self.options)

    def model_options(self) -> dict[str, Any]:
        """The `TextOptions` as plain values."""
        return self.options.model_dump()

    def train_loss(
        self, model: nn.Module, index: int, state: State, rows: slice, device: torch.device
    ) -> tuple[Tensor, State]:
        """The mean loss of a chunk in nats a character, and the state after it; see `Task`."""
        inputs, targets = self._streams.chunk(index, rows)
        logits, state = model(inputs.to(device), state)
        return cross_entropy(logits.flatten(0, 1), targets.to(device).flatten()), state

    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        """What `score` says of the held-out part."""
        return score(model, self._held_out, device)

    def sample(self, model: nn.Module, device: torch.device, seed: int) -> str:
        """200 characters that the model writes."""
        tokens = generate(model, self.corpus.vocabulary, max_new=_SAMPLE, seed=seed)
        return "".join(token.characters[0] for token in tokens)

    def probe(self, device: torch.device) -> tuple[Tensor]:
        """The start of the held-out part as (T, B) tokens: up to 4 streams of 100 characters."""
        rows = min(_PROBE[0], len(self._held_out) // 2)
        steps = min(_PROBE[1], len(self._held_out) // rows)
        tokens = torch.from_numpy(self._held_out[: rows * steps])
        return (tokens.view(rows, steps).T.contiguous().to(device),)

    def save(self, directory: Path) -> None:
        """Write `vocabulary.json`."""
        (directory / VOCABULARY).write_text(self.corpus.vocabulary.to_json(), encoding="ascii")

    def describe(self, model: nn.Module) -> list[tuple[str, str]]:
        """Sizes of the text, the vocabulary and the model, and the backend that runs it."""
        assert isinstance(model, TextModel)
        corpus, options = self.corpus, self.options
        train, held_out = len(corpus.train), len(corpus.validation)
        measured = len(self._held_out)
        shown = "" if measured == held_out else f", the first {measured:,} of them measured"
        parameters = sum(parameter.numel() for parameter in model.parameters())
        facts = [
            ("text", f"{characters(train)} to learn from, {held_out:,} held out{shown}"),
            ("vocabulary", f"{characters(len(corpus.vocabulary) - 1)} and {UNKNOWN}"),
            ("model", f"{options.cell}, {options.layers} x {options.hidden}"),
            ("parameters", f"{parameters:,}"),
            ("backend", str(model.recurrent.choice(self.seq_len, self.batch_size))),
            ("no model", f"{math.log2(len(corpus.vocabulary)):.2f} bits per character"),
        ]
        if corpus.unknown:
            facts.append(("only held out", " ".join(map(ascii, corpus.unknown[:20]))))
        return facts

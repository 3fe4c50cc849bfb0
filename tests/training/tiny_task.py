"""A small text task of its own, on torch.nn.LSTM: the loop needs to know no task of the library."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from recurra.tasks.base import Task

State = tuple[Tensor, Tensor]


class TinyModel(nn.Module):
    """(T, B) symbols -> (T, B, V) logits."""

    def __init__(self, symbols: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, 8)
        self.lstm = nn.LSTM(8, hidden, num_layers=2, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, symbols)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        output, state = self.lstm(self.embedding(tokens), state)
        return self.head(self.dropout(output)), state


class TinyTask(Task):
    """Predict the next of 12 symbols of a noisy cycle, in 4 streams of 61 symbols."""

    name = "tiny"
    monitor = "bits_per_char"
    batch_size, seq_len, symbols = 4, 6, 12

    def __init__(self, dropout: float = 0.3, hidden: int = 10, text: int = 1) -> None:
        self.dropout, self.hidden, self.fingerprint = dropout, hidden, f"text {text}"
        generator = torch.Generator().manual_seed(text)
        noise = torch.randint(0, 3, (4, 62), generator=generator)
        self.streams = ((torch.arange(62) + noise) % self.symbols).T.contiguous()  # (62, 4)
        self.train_steps_per_epoch = math.ceil(61 / self.seq_len)  # the last chunk is shorter
        self.spoil: Callable[[int, Tensor], Tensor] = lambda index, loss: loss

    def model_options(self) -> dict[str, Any]:
        return {"hidden": self.hidden, "dropout": self.dropout}

    def build_model(self) -> nn.Module:
        return TinyModel(self.symbols, self.hidden, self.dropout)

    def train_loss(
        self, model: nn.Module, index: int, state: Any, rows: slice, device: torch.device
    ) -> tuple[Tensor, Any]:
        start, stop = index * self.seq_len, min((index + 1) * self.seq_len, 61)
        logits, state = model(self.streams[start:stop, rows].to(device), state)
        targets = self.streams[start + 1 : stop + 1, rows].to(device)
        loss = cross_entropy(logits.flatten(0, 1), targets.flatten())
        return self.spoil(index, loss), state

    @torch.no_grad()
    def evaluate(self, model: nn.Module, device: torch.device) -> dict[str, float]:
        torch.rand(7)  # a careless task: its evaluation must not disturb the training
        logits, _ = model(self.streams[:20].to(device))
        loss = cross_entropy(logits.flatten(0, 1), self.streams[1:21].to(device).flatten()).item()
        return {"bits_per_char": loss / math.log(2), "loss": loss}

    def sample(self, model: nn.Module, device: torch.device, seed: int) -> str | None:
        return "abc\n[red]def"

    def probe(self, device: torch.device) -> Any:
        torch.rand(3)  # careless, as its evaluation
        return (self.streams[:20].to(device),)

    def save(self, directory: Path) -> None:
        (directory / "vocabulary.json").write_text("[]")

    def describe(self, model: nn.Module) -> list[tuple[str, str]]:
        return [("symbols", "12")]

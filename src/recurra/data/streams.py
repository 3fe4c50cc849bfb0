"""Streams: a text cut into parallel streams, read chunk by chunk.

With 2 streams and chunks of 3, the text `abcdefghi` is read as

    chunk 0   inputs abc   targets bcd        chunk 1   inputs d   targets e
                     efg           fgh                         h           i

so that each character is predicted once, and row b of a chunk goes on where row b of the chunk
before it stopped: its state is carried over.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from recurra.data.text import characters
from recurra.data.tokens import Tokens
from recurra.errors import DataError, UsageError


class Streams:
    """A text as B streams of `length` tokens each; up to B - 1 tokens at the end stay out.

    Args:
        tokens: the text.
        batch_size: B, streams.
        seq_len: T, steps of a chunk; the last one of a pass may be shorter.

    Raises:
        DataError: the text is too short for so many streams.
        UsageError: a size is below 1.
    """

    def __init__(self, tokens: Tokens, batch_size: int, seq_len: int) -> None:
        for name, size in (("batch_size", batch_size), ("seq_len", seq_len)):
            if size < 1:
                raise UsageError(f"{name} is {size}; give 1 or more.")
        if len(tokens) <= batch_size:
            raise DataError(
                f"the text has {characters(len(tokens))}, but {batch_size} streams "
                f"need {batch_size + 1:,} at least. Take a longer text or a smaller --batch-size."
            )
        self.batch_size, self.seq_len = batch_size, seq_len
        self.length = (len(tokens) - 1) // batch_size
        self._tokens = tokens

    def __len__(self) -> int:
        """Chunks of a pass."""
        return -(-self.length // self.seq_len)

    def chunk(self, index: int, rows: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """One chunk, of all streams or some.

        Args:
            index: 0 .. len(self) - 1.
            rows: which of the streams.

        Returns:
            inputs and targets, each (T, rows) int64; a target is the token after its input.

        Raises:
            IndexError: there is no such chunk.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"chunk {index} of {len(self)}")
        start = index * self.seq_len
        stop = min(start + self.seq_len, self.length)
        firsts = [row * self.length for row in range(self.batch_size)[rows]]
        both = np.empty((stop - start + 1, len(firsts)), np.int64)
        for column, first in enumerate(firsts):
            both[:, column] = self._tokens[first + start : first + stop + 1]
        chunk = torch.from_numpy(both)
        return chunk[:-1], chunk[1:]

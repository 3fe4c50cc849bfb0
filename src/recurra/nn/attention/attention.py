"""Attention over a memory of vectors: what all forms share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from recurra.errors import ShapeError
from recurra.nn.attention.memory import Memory, check_prepared, rows_first, weights_of
from recurra.nn.sequence import Lengths
from recurra.nn.weighted import count


class Attention(nn.Module, ABC):
    """Abstract: a mean of the vectors of a memory, weighted by how well they answer a query.

    With the scores e of a form, the weights are a = softmax(e) and the context is c = sum_s a_s m_s
    (Bahdanau et al. 2015, arXiv:1409.0473, equations 5 and 6).

    Args:
        query_size: Q, features of a query, such as the H of a decoder.
        memory_size: M, features of a vector of the memory.

    Raises:
        UsageError: a size that is no whole number from 1.

    Example:
        >>> import torch
        >>> from recurra.nn.attention import Additive
        >>> attention = Additive(query_size=8, memory_size=6, attention_size=4)
        >>> memory = attention.prepare(torch.randn(5, 3, 6), lengths=[5, 2, 0])
        >>> context, weights = attention(torch.randn(3, 8), memory)
        >>> context.shape, weights.shape, weights.detach().sum(-1).round().tolist()
        (torch.Size([3, 6]), torch.Size([3, 5]), [1.0, 1.0, 0.0])
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query_size = count("query_size", query_size)
        self.memory_size = count("memory_size", memory_size)

    @abstractmethod
    def keys(self, values: Tensor) -> Tensor:
        """(B, S, A): what queries are compared with; computed once for a memory (B, S, M)."""

    @abstractmethod
    def scores(self, query: Tensor, memory: Memory, before: Tensor) -> Tensor:
        """(B, S): how well each vector answers.

        Args:
            query: (B, Q).
            memory: as prepared.
            before: (B, S), the weights of the step before.
        """

    def prepare(self, memory: Tensor, lengths: Lengths = None) -> Memory:
        """A memory, ready to be looked at in every step.

        Args:
            memory: (S, B, M).
            lengths: (B,) vectors of each row, 0 allowed; None if all rows have S.

        Raises:
            ShapeError: a memory of another shape, or lengths that do not fit.
        """
        if memory.dim() != 3 or memory.shape[-1] != self.memory_size:
            raise ShapeError(
                f"the memory has the shape {tuple(memory.shape)}; it needs (S, B, M) with "
                f"M = {self.memory_size}, the memory_size of this attention."
            )
        values, alive = rows_first(memory, lengths)
        return Memory(values, self.keys(values), alive)

    def start(self, memory: Memory) -> Tensor:
        """(B, S): the weights before the first step, all on the first vector.

        The paper of the location-aware form leaves them open; so do its authors in their program.
        """
        first = torch.zeros_like(memory.values[..., 0])
        first[:, :1] = 1
        return first if memory.alive is None else first * memory.alive

    def forward(
        self, query: Tensor, memory: Memory, before: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Look at a memory once.

        Args:
            query: (B, Q).
            memory: as `prepare` gave it.
            before: (B, S), the weights of the step before; None at the start.

        Returns:
            context: (B, M), 0 for a row without vectors; weights: (B, S).

        Raises:
            UsageError: a memory that is not prepared.
            ShapeError: a query or weights of another shape.
        """
        check_prepared(memory)
        if tuple(query.shape) != (memory.rows, self.query_size):
            raise ShapeError(
                f"the query has the shape {tuple(query.shape)}; (B, Q) is "
                f"{(memory.rows, self.query_size)} here."
            )
        before = self.start(memory) if before is None else before
        if tuple(before.shape) != (memory.rows, memory.steps):
            raise ShapeError(
                f"the weights before have the shape {tuple(before.shape)}; (B, S) is "
                f"{(memory.rows, memory.steps)} here."
            )
        if not memory.steps:
            return query.new_zeros(memory.rows, self.memory_size), before
        weights = weights_of(self.scores(query, memory, before), memory.alive)
        return torch.bmm(weights.unsqueeze(1), memory.values).squeeze(1), weights

    def extra_repr(self) -> str:
        """The sizes."""
        return f"query_size={self.query_size}, memory_size={self.memory_size}"

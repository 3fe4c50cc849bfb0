"""A memory of vectors, made ready to be looked at many times: padding hidden, keys projected."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recurra.errors import UsageError
from recurra.nn.sequence import Lengths, counted


@dataclass(frozen=True)
class Memory:
    """What an attention looks at. `Attention.prepare` makes it, once for a batch.

    Attributes:
        values: (B, S, M), the vectors, 0 after the end of a row.
        keys: (B, S, A), what queries are compared with.
        alive: (B, S) bool, True before the end of a row; None if every row has S vectors.
    """

    values: Tensor
    keys: Tensor
    alive: Tensor | None

    @property
    def rows(self) -> int:
        """B."""
        return self.values.shape[0]

    @property
    def steps(self) -> int:
        """S."""
        return self.values.shape[1]

    def select(self, rows: Tensor) -> Memory:
        """The memories of some rows of the batch, as beam search needs them.

        Args:
            rows: (n,) int64, indices into B; a row may stand several times.
        """
        rows = rows.to(self.values.device)
        alive = None if self.alive is None else self.alive.index_select(0, rows)
        values, keys = (part.index_select(0, rows) for part in (self.values, self.keys))
        return replace(self, values=values, keys=keys, alive=alive)


def check_prepared(memory: object) -> None:
    """Refuse what is not a `Memory`.

    Raises:
        UsageError: it is a tensor, or something else.
    """
    if not isinstance(memory, Memory):
        raise UsageError(
            f"the memory is a {type(memory).__name__}; a single step looks at a prepared one. "
            "Prepare it once for all steps: memory = layer.prepare(tensor)."
        )


def rows_first(memory: Tensor, lengths: Lengths) -> tuple[Tensor, Tensor | None]:
    """(S, B, M) as (B, S, M) with 0 in the padding, and which of its vectors are alive (B, S).

    Raises:
        ShapeError: lengths that do not fit.
    """
    values = memory.transpose(0, 1).contiguous()
    if lengths is None:
        return values, None
    rows, steps = values.shape[:2]
    counts = counted(lengths, steps, rows).to(values.device)
    alive = torch.arange(steps, device=values.device) < counts.unsqueeze(1)
    # Padding may hold anything, NaN too; zero keeps it out of every product and gradient.
    return values.where(alive.unsqueeze(-1), values.new_zeros(())), alive


def weights_of(scores: Tensor, alive: Tensor | None) -> Tensor:
    """(B, S): the softmax of the scores (B, S) over the vectors that are alive, 0 elsewhere.

    A row without any has the weights 0. The least finite score stands for those that are not alive:
    with minus infinity, the softmax of such a row and its gradient would be NaN.
    """
    if alive is None:
        return scores.softmax(-1)
    least = torch.finfo(scores.dtype).min
    return scores.masked_fill(~alive, least).softmax(-1) * alive

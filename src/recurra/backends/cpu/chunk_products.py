"""The products of a chunk: what its steps read of one another, and what they leave in the memory.

Sequences are (T, B, size); products are those of the steps of a row, for each row of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from recurra.backends.cpu import memory
from recurra.backends.cpu.product import vectorised
from recurra.backends.cpu.products import RowSteps, fit


class Written(NamedTuple):
    """What the steps of a chunk write.

    Attributes:
        column: (T, B, V).
        row: (T, B, K).
        left: (B, T + 1), what is left of the start and of each step in the end.
        start: (B, V, K), the memory before the chunk; None if it is zero.
    """

    column: Tensor
    row: Tensor
    left: Tensor
    start: Tensor | None

    def plain(self) -> Tensor:
        """The memory after the chunk, by PyTorch."""
        column, row, left, start = self
        result = (column.transpose(0, 1) * left[:, 1:, None]).mT @ row.transpose(0, 1)
        return result if start is None else result + start * left[:, :1, None]

    def added(self, steps: RowSteps) -> Tensor:
        """The same, when these steps have run."""
        left, start = self.left, self.start
        c, r = self.column.transpose(0, 1), self.row.transpose(0, 1)
        faded = steps.times(c, left[:, 1:, None], memory.empty(c, *c.shape))
        result = memory.empty(c, len(c), c.shape[2], r.shape[2])
        if start is not None:
            torch.mul(start, left[:, :1, None], out=result)
        return steps.product(faded.mT, r, result, begun=start is not None)

    def gradients(self, d: Tensor) -> tuple[Tensor | None, ...]:
        """Of all its tensors, from that of the memory."""
        column, row, left, start = self
        c, r, of_steps = column.transpose(0, 1), row.transpose(0, 1), left[:, 1:, None]
        made = [memory.empty(t, *t.shape) for t in (column, row)]
        d_column, d_row = (t.transpose(0, 1) for t in made)
        steps = RowSteps(c)
        faded = steps.times(c, of_steps, memory.empty(c, *c.shape))
        steps.product(faded, d, d_row)
        d_faded = steps.product(r, d.mT, memory.empty(c, *c.shape))
        met = steps.times(d_faded, c, memory.empty(c, *c.shape))
        sums = _sums(steps, met)
        steps.times(d_faded, of_steps, d_column)
        d_start, of_start = None, None
        if start is not None:
            d_start = steps.times(
                d, left[:, :1, None].expand(-1, d.shape[1], 1), memory.empty(d, *d.shape)
            )
            met = steps.times(d, start.contiguous(), memory.empty(d, *d.shape))
            of_start = _sums(steps, _sums(steps, met).mT)
        steps.run()
        first = sums.new_zeros(len(sums), 1) if of_start is None else of_start[..., 0]
        return (*made, torch.cat((first, sums[..., 0]), 1), d_start)


class Seen(NamedTuple):
    """What the steps of a chunk read: the values of steps, by how their keys meet a query.

    Attributes:
        query, keys: (T, B, K).
        values: (T, B, V).
        seen: (T, B, T + 1), the factor of the start, then that of each step.
        start: (B, V, K), the memory before the chunk; None if it is zero.
    """

    query: Tensor
    keys: Tensor
    values: Tensor
    seen: Tensor
    start: Tensor | None

    def plain(self) -> Tensor:
        """What each step reads, (T, B, V), by PyTorch."""
        query, keys, values, seen, start = self
        q, k, v = (t.transpose(0, 1) for t in (query, keys, values))
        of_start, of_steps = _factors(seen)
        result = (q @ k.mT * of_steps) @ v
        return (result if start is None else result + q @ start.mT * of_start).transpose(0, 1)

    def added(self, steps: RowSteps) -> Tensor:
        """The same, when these steps have run."""
        query, keys, values, seen, start = self
        q, k, v = (t.transpose(0, 1) for t in (query, keys, values))
        of_start, of_steps = _factors(seen)
        result = memory.empty(values, *values.shape)
        goal = result.transpose(0, 1)
        scores = steps.product(q, k.mT, memory.empty(q, len(q), q.shape[1], q.shape[1]))
        steps.product(steps.times(scores, of_steps, scores), v, goal)
        if start is not None:
            faded = steps.times(q, of_start, memory.empty(q, *q.shape))
            steps.product(faded, start.mT, goal, begun=True)
        return result

    def gradients(self, d_result: Tensor) -> tuple[Tensor | None, ...]:
        """Of all its tensors, from that of what is read."""
        query, keys, values, seen, start = self
        q, k, v, d = (t.transpose(0, 1) for t in (query, keys, values, d_result))
        of_start, of_steps = _factors(seen)
        made = [memory.empty(t, *t.shape) for t in (query, keys, values, seen)]
        d_query, d_keys, d_values, d_seen = (t.transpose(0, 1) for t in made)
        square = len(q), q.shape[1], q.shape[1]
        scores, weights, d_weights = (memory.empty(q, *square) for _ in range(3))
        steps = RowSteps(q)
        steps.product(q, k.mT, scores)
        steps.product(d, v.mT, d_weights)
        steps.times(scores, of_steps, weights)
        steps.product(weights.mT, d, d_values)
        steps.times(scores, d_weights, d_seen[..., 1:])
        steps.times(d_weights, of_steps, d_weights)
        steps.product(d_weights, k, d_query)
        steps.product(d_weights.mT, q, d_keys)
        d_start = None
        if start is None:
            made[3][..., 0] = 0
        else:
            faded = steps.times(d, of_start, memory.empty(d, *d.shape))
            d_start = steps.product(faded.mT, q, memory.empty(q, *start.shape))
            steps.product(faded, start, d_query, begun=True)
            read = steps.product(q, start.mT, memory.empty(d, *d.shape))
            sums = _sums(steps, steps.times(read, d, read))
        steps.run()
        if start is not None:
            made[3][..., 0] = sums[..., 0].transpose(0, 1)
        return (*made, d_start)


def run_chunk(written: Written, reads: Sequence[Seen]) -> tuple[Tensor, list[Tensor]]:
    """The memory after a chunk, (B, V, K), and what each read gives, (T, B, V)."""
    several: list[Written | Seen] = [written, *reads]
    given = [t for own in several for t in own]
    sequences = [t for own in several for t in own[:-1] if t is not None]
    starts = [own.start for own in several if own.start is not None]
    if (
        not fit(*given)
        or any(t.stride(-1) != 1 for t in sequences)
        or not all(1 in t.stride()[1:] for t in starts)
    ):
        return written.plain(), [read.plain() for read in reads]
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given):
        after, *results = [_Products.apply(type(own), *own) for own in several]
        return after, results
    steps = RowSteps(written.column.transpose(0, 1))
    after, *results = [own.added(steps) for own in several]
    steps.run()
    return after, results


class _Products(torch.autograd.Function):
    """(`Written` or `Seen`, its tensors) -> its result, differentiable."""

    @staticmethod
    def forward(ctx: Any, kind: type[Written | Seen], *given: Any) -> Tensor:
        ctx.kind = kind
        ctx.save_for_backward(*given)
        steps = RowSteps(given[0].transpose(0, 1))
        result = kind(*given).added(steps)
        steps.run()
        return result

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        own = ctx.kind(*ctx.saved_tensors)
        if torch.is_grad_enabled() or vectorised((d,)) or not fit(*own):
            return None, *_plain_gradients(own, d)
        return None, *own.gradients(_row_by_row(d))


def _factors(seen: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, 1) of the start, (B, T, T) of the steps."""
    whole = seen.transpose(0, 1)
    return whole[..., :1], whole[..., 1:]


def _row_by_row(d: Tensor) -> Tensor:
    """With the numbers of a row side by side, one by one where a row has one."""
    d = memory.in_memory(d)
    return d if d.stride(-1) == 1 else d.clone(memory_format=torch.contiguous_format)


def _sums(steps: RowSteps, matrix: Tensor) -> Tensor:
    """The sum of each row of a matrix (B, M, N), as (B, M, 1): one thread adds all of it."""
    ones = matrix.new_ones(1, matrix.shape[2], 1).expand(len(matrix), -1, -1)
    return steps.product(matrix, ones, memory.empty(matrix, *matrix.shape[:2], 1))


def _plain_gradients(own: Written | Seen, d: Tensor) -> tuple[Tensor | None, ...]:
    """By PyTorch's own operators: they are to be differentiated, or many are asked for at once."""
    many = vectorised((d,))
    with torch.enable_grad():
        views = [t.view_as(t) if t is not None and t.requires_grad else t for t in own]
        wanted = [t for t in views if t is not None and t.requires_grad]
        result = type(own)(*views).plain()  # type: ignore[arg-type]
        found = iter(torch.autograd.grad(result, wanted, d, create_graph=not many))
    return tuple(next(found) if t is not None and t.requires_grad else None for t in views)

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


def run_chunk(written: Written, reads: Sequence[Seen]) -> tuple[Tensor, list[Tensor]]:
    """The memory after a chunk, (B, V, K), and what each read gives, (T, B, V)."""
    given = [t for own in (written, *reads) for t in own]
    if not fit(*given):
        return _memory(written), [_plain(*read) for read in reads]
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given):
        return _memory(written), [_Read.apply(*read) for read in reads]
    steps = RowSteps(written.column.transpose(0, 1))
    results = [_add_read(steps, *read) for read in reads]
    after = _add_memory(steps, written)
    steps.run()
    return after, results


def _memory(written: Written) -> Tensor:
    """The memory after a chunk by PyTorch, differentiable."""
    column, row, left, start = written
    result = (column.transpose(0, 1) * left[:, 1:, None]).mT @ row.transpose(0, 1)
    return result if start is None else result + start * left[:, :1, None]


def _add_memory(steps: RowSteps, written: Written) -> Tensor:
    left, start = written.left, written.start
    c, r = written.column.transpose(0, 1), written.row.transpose(0, 1)
    faded = steps.times(c, left[:, 1:, None], memory.empty(c, *c.shape))
    result = memory.empty(c, len(c), c.shape[2], r.shape[2])
    if start is not None:
        torch.mul(start, left[:, :1, None], out=result)
    return steps.product(faded.mT, r, result, begun=start is not None)


def _factors(seen: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, 1) of the start, (B, T, T) of the steps."""
    whole = seen.transpose(0, 1)
    return whole[..., :1], whole[..., 1:]


def _plain(
    query: Tensor, keys: Tensor, values: Tensor, seen: Tensor, start: Tensor | None
) -> Tensor:
    q, k, v = (t.transpose(0, 1) for t in (query, keys, values))
    of_start, of_steps = _factors(seen)
    result = (q @ k.mT * of_steps) @ v
    return (result if start is None else result + q @ start.mT * of_start).transpose(0, 1)


def _add_read(
    steps: RowSteps,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    seen: Tensor,
    start: Tensor | None,
) -> Tensor:
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


class _Read(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        ctx.save_for_backward(*given)
        steps = RowSteps(given[0].transpose(0, 1))
        result = _add_read(steps, *given)
        steps.run()
        return result

    @staticmethod
    def backward(ctx: Any, d: Tensor) -> tuple[Tensor | None, ...]:
        given = Seen(*ctx.saved_tensors)
        if torch.is_grad_enabled() or vectorised((d,)) or not fit(*given):
            return _plain_gradients(given, d)
        d = memory.in_memory(d)
        return _gradients(given, d if d.stride(-1) == 1 else d.contiguous())


def _gradients(given: Seen, d_result: Tensor) -> tuple[Tensor | None, ...]:
    query, keys, values, seen, start = given
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
    steps.run()
    if start is not None:
        made[3][..., 0] = (d * read).sum(-1).transpose(0, 1)
    return (*made, d_start)


def _plain_gradients(given: Seen, d: Tensor) -> tuple[Tensor | None, ...]:
    """By PyTorch's own operators: they are to be differentiated, or many are asked for at once."""
    many = vectorised((d,))
    with torch.enable_grad():
        views = (t.view_as(t) if t is not None and t.requires_grad else t for t in given)
        own = Seen(*views)  # type: ignore[arg-type]
        wanted = [t for t in own if t is not None and t.requires_grad]
        found = iter(torch.autograd.grad(_plain(*own), wanted, d, create_graph=not many))
    return tuple(next(found) if t is not None and t.requires_grad else None for t in own)

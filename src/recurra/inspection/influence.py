"""Influence: how much the output of each step depends on the input of each other one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from recurra.errors import UsageError
from recurra.inspection.entry import AT_ONCE, Entry
from recurra.inspection.layers import reading
from recurra.inspection.model_output import sequence
from recurra.nn.sequence import Lengths


def influence_matrix(
    model: Any,
    inputs: Any,
    row: int = 0,
    lengths: Lengths = None,
    *,
    projections: int | None = None,
    copies: int | None = None,
    seed: int = 0,
) -> Tensor:
    """The Frobenius norm of each Jacobian d output[t] / d input[s], of one sequence.

    Madsen 2019, Visualizing memorization in RNNs, Distill, doi:10.23915/distill.00016, there for
    one logit at a time and named connectivity. Every row of a Jacobian is a vector-Jacobian
    product; many of them are the rows of one batch of copies of the sequence, so that they run in
    the fused kernels.

    Args:
        model: a layer of recurra or torch, or a module with some, or what `recurra.load` gave; run
            in evaluation mode. It gives out a sequence, (T, B, V) or (B, T, V).
        inputs: (T, B, I) or (B, T, I), or items (T, B) or (B, T) that the model embeds; a text for
            what `recurra.load` gave.
        row: which sequence of the batch.
        lengths: (B,) as for `record`.
        projections: None for the exact norms, by T * V products. A number k for an estimate by
            T * k products with random normal vectors: its square is right on average, with a
            standard deviation of at most sqrt(2 / k) of it (Hutchinson 1989). Worth it for large V.
        copies: of the sequence that run at once; None for as many as make 16,384 steps.
        seed: of the random vectors.

    Returns:
        (T, T): the output's step in the first place, the input's in the second.

    Raises:
        UsageError: several inputs, no sequence as output, or numbers out of range.
    """
    model, inputs = reading(model, inputs)
    if type(inputs) is tuple and len(inputs) == 1:
        (inputs,) = inputs
    if not isinstance(inputs, Tensor) or inputs.dim() not in (2, 3):
        raise UsageError("the influence matrix needs one tensor as input: (T, B, I) or items.")
    if projections is not None and projections < 1:
        raise UsageError(f"projections={projections}; it must be from 1, or None for exact norms.")
    one = Entry(model, inputs, lengths)
    rows = one.time_first(inputs).shape[1]
    if not 0 <= row < rows:
        raise UsageError(f"row {row} does not exist; there are 0 to {rows - 1}.")
    steps = len(one.time_first(inputs))
    count = max(1, AT_ONCE // max(steps, 1)) if copies is None else copies
    own = one.time_first(inputs)[:, [row]].expand(-1, count, *inputs.shape[2:])
    ends = None if one.counts is None else one.counts[[row]].expand(count)
    return _matrix(Entry(model, one.time_first(own), ends), projections, seed)


def _matrix(entry: Entry, projections: int | None, seed: int) -> Tensor:
    """The matrix of a batch in which all rows are the same."""
    values = entry.values.detach().clone().requires_grad_()
    with torch.enable_grad(), entry.open():
        output = sequence(entry.model, entry.inputs, entry.run(values))
        if output is None:
            raise UsageError("the model gives out no sequence of the steps and rows that it reads.")
        steps, copies, size = output.shape
        source = torch.Generator().manual_seed(seed)
        found = output.new_zeros(steps, len(entry.time_first(values)))
        products = size if projections is None else projections
        for first in range(0, steps * products, copies):
            which = torch.arange(first, min(first + copies, steps * products))
            place, number = which // products, which % products
            vectors = (
                torch.eye(size)[number]
                if projections is None
                else torch.randn(len(which), size, generator=source) / products**0.5
            )
            seeds = torch.zeros_like(output)
            seeds[place, torch.arange(len(which))] = vectors.to(output)
            (gradient,) = torch.autograd.grad(output, values, seeds, retain_graph=True)
            squares = entry.time_first(gradient).square().sum(-1)[:, : len(which)]
            found.index_add_(0, place.to(found.device), squares.T)
    return found.sqrt()

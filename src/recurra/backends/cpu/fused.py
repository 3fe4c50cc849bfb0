"""The fused recurrence on real tensors: forward, forward for training, backward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recurra.backends.cpu.batch import bytes_of
from recurra.backends.cpu.forward_plan import inference_plan, training_plan
from recurra.backends.cpu.gradient_plan import gradient_plan
from recurra.backends.cpu.memory import in_memory
from recurra.backends.cpu.operands import Operands, operands
from recurra.backends.cpu.plans import Key, forms_of


def inference(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None = None
) -> list[Tensor]:
    """(outputs, last states), keeping nothing: (T, B, size) and (B, size) each.

    Args:
        tensors: see `recurra.backends.cpu.operators.recurrence`, as all that follows.
        graph: the step.
        steps: T.
        lengths: (B,), if rows end.
    """
    given, taken = _regular(tensors, graph), operands(graph)
    found = inference_plan(_key(given, graph, steps, lengths)).run(given)
    return shaped(taken, found, tensors) if taken.has_matrices else found


def training(
    tensors: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None = None
) -> list[Tensor]:
    """What `gradients` needs and the last states, no two of them in the same memory.

    In this order: the history of each state (its values before the first step and after each),
    outputs that are no state's, last states, what else is kept.
    """
    given = _regular(tensors, graph)
    return training_plan(_key(given, graph, steps, lengths)).run(given)


def gradients(
    tensors: Sequence[Tensor],
    kept: Sequence[Tensor],
    d_outputs: Sequence[Tensor],
    d_states: Sequence[Tensor],
    wanted: Sequence[bool],
    graph: str,
    steps: int,
    lengths: Tensor | None = None,
) -> list[Tensor]:
    """The gradients of those of `tensors` that are wanted and have one.

    Each has the shape of its tensor, rows without gaps, and memory of its own.

    Args:
        tensors: what `training` got.
        kept: what it gave, without the last states.
        d_outputs: the gradients of the outputs.
        d_states: those of the last states.
        wanted: for each tensor whether its gradient is asked for.
        graph, steps, lengths: as before.
    """
    taken = operands(graph)
    coming_in = [in_memory(d) for d in (*d_outputs, *d_states)]
    if taken.has_matrices:
        coming_in = [d.flatten(2) for d in coming_in[: len(d_outputs)]]
        coming_in += [in_memory(d).flatten(1) for d in d_states]
    coming_in = [row_by_row(d) for d in coming_in]
    given = [*_regular(tensors, graph), *kept, *coming_in]
    plan = gradient_plan(_key(given, graph, steps, lengths), tuple(wanted))
    found = plan.run(given)
    if taken.has_matrices:
        found = {number: d.view(tensors[number].shape) for number, d in found.items()}
    return [found[number] for number in sorted(found)]


def shaped(taken: Operands, found: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
    """Outputs and last states, whose matrices kernels write as rows of numbers, as matrices.

    Args:
        taken: of the recurrence.
        found: (T, B, size) each, then (B, size).
        tensors: what the recurrence took.
    """
    sizes = taken.sizes([tensor.shape for tensor in tensors])
    nodes = (*taken.outputs, *taken.split.graph.states)
    return [
        value.unflatten(-1, taken.shape_of(node, sizes))
        if len(taken.letters_of(node)) == 2
        else value
        for value, node in zip(found, nodes, strict=True)
    ]


def _key(given: Sequence[Tensor], graph: str, steps: int, lengths: Tensor | None) -> Key:
    own = None if lengths is None else bytes_of(lengths)
    return Key(graph, steps, own, forms_of(given), torch.get_num_threads())


def _regular(tensors: Sequence[Tensor], graph: str) -> list[Tensor]:
    """The tensors as plans take them: with gaps between rows only, and only where these may be."""
    tensors = [in_memory(tensor) for tensor in tensors]
    if all([tensor.is_contiguous() for tensor in tensors]):
        return tensors
    taken = operands(graph)
    with_gaps = {source.first for source in taken.sources if not source.is_product}
    with_gaps.update(range(len(taken.taken), len(tensors)))
    if taken.has_matrices:
        with_gaps = {k for k in with_gaps if tensors[k].dim() == (taken.leading[k] or 0) + 1}
    return [
        row_by_row(tensor) if number in with_gaps else tensor.contiguous()
        for number, tensor in enumerate(tensors)
    ]


def row_by_row(tensor: Tensor) -> Tensor:
    """The tensor, copied if the numbers of a row do not stand side by side."""
    return tensor.contiguous() if tensor.shape[-1] > 1 and tensor.stride(-1) != 1 else tensor

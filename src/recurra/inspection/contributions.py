"""Contributions: what each step wrote into a memory, and how much of it is left."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recurra.errors import UnknownNameError, UsageError
from recurra.inspection.evaluation import Missing, Values
from recurra.inspection.memories import Memory, find_memories, memory
from recurra.inspection.recording import Recording

_NEAR = {torch.float32: 1e-3, torch.float64: 1e-9}


@dataclass(frozen=True, eq=False)
class Contributions:
    """A state as the sum of what each step wrote, each times what the gates left of it since.

    s[t] = before * f[0] ... f[t] + sum over u of w[u] * f[u + 1] ... f[t], which is exact: the
    recurrence s[t] = f[t] * s[t-1] + w[t] written out. For the LSTM this is the decomposition of
    Murdoch & Szlam 2017, arXiv:1702.02540, with the gates as they were in the run.

    What a step wrote may depend on earlier steps (through h, in an LSTM); it counts as the step's
    own. So this says when a value entered the memory, not which input was its cause; for that, see
    `integrated_gradients`.

    Attributes:
        address: of the state, such as "rnn.0.forward.c".
        shares: (T, B, size), w[u] times what is left of it, for each step u in the order of time; 0
            for steps that were not yet read, and after the end of a row.
        initial: (B, size), what is left of the state before the first step.
        written: (T, B, size), w[u], before any forgetting.
        left: (T, B, size), the product of f over the steps after u.
        state: (B, size), as recorded: the sum of `shares` and `initial`.
    """

    address: str
    shares: Tensor
    initial: Tensor
    written: Tensor
    left: Tensor
    state: Tensor


@torch.no_grad()
def contributions_to_state(
    recording: Recording, address: str, step: int | None = None
) -> Contributions:
    """Which steps a memory holds.

    Args:
        recording: of the state and of the values in its equation; of all values, at best.
        address: of a state, such as "rnn.0.forward.c", or a pattern that means one.
        step: at which the state is looked at, in the order of time; None for the last step of each
            row in the direction of the layer, which is step 0 in the reverse direction. A row
            that ends before it counts with its last step.

    Raises:
        UnknownNameError: no such state was recorded.
        UsageError: a state that is no additive memory (see `find_memories`), a step that does not
            exist, values that are needed and were not recorded, or a run whose states did not
            follow their equations alone (zoneout, a reset, an edit).
    """
    address = _one_state(recording, address)
    part, _, state = address.rpartition(".")
    values = Values(recording, part)
    return divided(values, memory(values.facts.graph, state), read_until(values, step))


def divided(values: Values, found: Memory, read: Tensor) -> Contributions:
    """A memory as the sum of its parts.

    Args:
        values: of its layer and direction.
        found: the memory.
        read: (T, B) bool, in the order of the run: the steps that were read so far.

    Raises:
        UsageError: as `contributions_to_state`.
    """
    address = f"{values.part}.{found.state}"
    keep, write = _recurrence(values, found)
    on = read.view(*keep.shape[:2], *[1] * (keep.dim() - 2))
    keep, write = torch.where(on, keep, 1.0), torch.where(on, write, 0.0)
    left = torch.ones_like(keep)  # in the order of the run: left[u] is the product after u
    for u in range(len(keep) - 2, -1, -1):
        left[u] = left[u + 1] * keep[u + 1]
    start = values.start(found.state)
    initial = start * left[0] * keep[0] if len(keep) else start
    shares = values.in_order(write * left)
    left, write = (values.in_order(torch.where(on, one, 0.0)) for one in (left, write))
    states = torch.cat([start.unsqueeze(0), values.in_order(values.recording[address])])
    state = states[read.sum(0), torch.arange(read.shape[1], device=read.device)]
    return Contributions(address, shares, initial, write, left, state)


def _one_state(recording: Recording, pattern: str) -> str:
    """The address of the one additive memory that a pattern means."""
    found = recording.find(pattern)
    if len(found) > 1:
        kept = [one for one in found if _is_memory(recording, one)]
        if len(kept) != 1:
            raise UsageError(
                f"{pattern!r} means {len(found)} values: {', '.join(found)}. Give one of them."
            )
        found = kept
    if not found:
        raise UnknownNameError("state", pattern, recording.values)
    return found[0]


def _is_memory(recording: Recording, address: str) -> bool:
    part, _, name = address.rpartition(".")
    return name in {one.state for one in find_memories(recording.parts[part].graph)}


def _recurrence(values: Values, found: Memory) -> tuple[Tensor, Tensor]:
    """f and w of each step, (T, B, size), in the order of the run; checked against the states.

    What a step wrote is s[t] - f[t] * s[t-1] where its equation reads what was not recorded.

    Raises:
        UsageError: f is not known, or the states are not those of the recurrence.
    """
    address = f"{values.part}.{found.state}"
    try:
        after = values.recording[address]
        before = values._before(found.state)
        keep = _like(values(found.keep), after)
    except Missing as missing:
        raise UsageError(
            f"what is kept of {address}, {found.text}, needs {missing}, which the recording "
            "does not hold. Record all values, or name it beside the state."
        ) from None
    try:
        write = _like(values(found.write), after)
    except Missing:
        write = after - keep * before
    alive = values.alive.view(*after.shape[:2], *[1] * (after.dim() - 2))
    wrong = torch.where(alive, keep * before + write - after, 0.0).abs()
    near = _NEAR.get(after.dtype, 0.1) * (1 + float(after.abs().max()) if after.numel() else 1)
    if wrong.numel() and not float(wrong.max()) <= near:
        raise UsageError(
            f"{address} is not {found.text} * {found.state} + what was written (off by up to "
            f"{float(wrong.max()):.2g}): zoneout, a reset inside the sequence, an edit or a NaN "
            "changed it. Record a run without them."
        )
    return values.in_order(keep), values.in_order(write)


def _like(value: Tensor | float, state: Tensor) -> Tensor:
    """A value with the shape of a state's sequence: a number or scalar for all of its units."""
    tensor = value if isinstance(value, Tensor) else state.new_tensor(value)
    if tensor.dim() == 3 and state.dim() == 4:  # one number for a matrix
        tensor = tensor.unsqueeze(-1)
    return tensor.expand_as(state)


def read_until(values: Values, step: int | None) -> Tensor:
    """(T, B) bool, in the order of the run: which steps had been read at `step`.

    Raises:
        UsageError: there is no such step.
    """
    alive = values.in_order(values.alive)
    if step is None:
        return alive
    steps = len(alive)
    if not -steps <= step < steps:
        raise UsageError(f"step {step} does not exist; the recording has 0 to {steps - 1}.")
    step %= steps
    times = torch.arange(steps, device=alive.device).unsqueeze(1).expand_as(alive)
    if values.facts.direction == "forward":
        return alive & (times <= step)
    return alive & (values.in_order(times.contiguous()) >= step)

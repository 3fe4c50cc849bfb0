"""Straight from the weights of a layer to the kernels, for calls of one form.

What a call asks again each time (which weights stand where, which plan fits) is asked once here:
after a kernel of some milliseconds Python finds its own memory gone from the caches, and whatever
it does takes several times as long as elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from recurra.backends.backend import Given, Shortcut
from recurra.backends.cpu.batch import by_length, bytes_of
from recurra.backends.cpu.forward_plan import inference_plan, training_plan
from recurra.backends.cpu.operands import operands
from recurra.backends.cpu.operators import Recurrence, Way, recurrence
from recurra.backends.cpu.plans import Key, Plan, forms_of
from recurra.backends.cpu.row_blocks import RowBlocks
from recurra.backends.cpu.wiring import Wiring
from recurra.backends.observed import PLAIN, holds_values, observed
from recurra.backends.weights import Weights


class CpuShortcut(Shortcut):
    """See `Shortcut`.

    Args:
        text: the graph, without anything that is shown.
        weights: of a place.
        given: a sequence x without gaps, and states without gaps.

    Attributes:
        is_good: whether calls of this form can be run so.
    """

    def __init__(self, text: str, weights: Weights, given: Given) -> None:
        self._text, self._taken, self._steps = text, operands(text), given.steps
        stored, states = [tensor for _, tensor in weights.stacks], given.states
        self._forms = forms_of(stored)
        self._whole = Wiring(self._taken, weights, given)
        inputs = self._whole.inputs(given.sequences["x"], stored, states)
        tensors = self._whole.blocks.tensors(inputs)
        self._dense = _Plans(self._key(given.steps, tensors), self._whole.blocks)
        self.is_good = all(t.dtype is states[0].dtype and t.is_contiguous() for t in tensors)
        self._ragged: Wiring | None = None

    def _key(self, steps: int, tensors: Sequence[Tensor], lengths: bytes | None = None) -> Key:
        return Key(self._text, steps, lengths, forms_of(tensors), torch.get_num_threads())

    def fits(self, stored: Sequence[Tensor | None]) -> bool:
        """See `Shortcut.fits`."""
        for tensor, (dtype, shape, strides) in zip(stored, self._forms, strict=True):
            if (
                tensor is None
                or type(tensor) not in PLAIN
                or not tensor.is_cpu
                or tensor.shape != shape
                or tensor.stride() != strides
                or tensor.dtype is not dtype
                or not holds_values(tensor)
            ):
                return False
        return True

    def run(
        self,
        x: Tensor,
        stored: Sequence[Tensor],
        states: Sequence[Tensor],
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """See `Shortcut.run`."""
        if lengths is None:
            return self._dense.run(self._whole.inputs(x, stored, states))
        rows = by_length(lengths)
        own = [state.index_select(0, rows.order) for state in states]
        inside = rows.packed(x)
        wiring = self._ragged or self._wired(inside, stored, own)
        inputs = wiring.inputs(inside, stored, own)
        key = self._key(rows.steps, wiring.blocks.tensors(inputs), bytes_of(rows.lengths))
        # Not kept: lengths are others each time, and the caches of plans know the last of them.
        output, lasts = _Plans(key, wiring.blocks, rows.lengths).run(inputs)
        return rows.padded(output, self._steps), tuple(
            [last.index_select(1, rows.back) for last in lasts]
        )

    @torch.no_grad()
    def _wired(self, x: Tensor, stored: Sequence[Tensor], states: Sequence[Tensor]) -> Wiring:
        """The wiring of rows that end."""
        weights = Weights([*zip(self._whole.members, stored, strict=True)], {})
        given = Given(1, x.shape[1], {"x": x}, {}, tuple(states))
        self._ragged = Wiring(self._taken, weights, given)
        return self._ragged


class _Plans:
    """The plans of calls whose tensors have known forms.

    Args:
        key: of the plans.
        blocks: how the tensors follow from the inputs.
        lengths: (B,), the longest first, if rows end.
    """

    def __init__(self, key: Key, blocks: RowBlocks, lengths: Tensor | None = None) -> None:
        self._key, self._blocks, self._lengths = key, blocks, lengths

    def run(self, inputs: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The output, and the states after the last step, each (1, B, size)."""
        if torch.is_grad_enabled():
            for tensor in inputs:
                if tensor.requires_grad:
                    output, *after = Recurrence.apply(self._way, *inputs)
                    return output, tuple([part.unsqueeze(0) for part in after])
        tensors = self._blocks.tensors(inputs)
        if observed():
            output, *after = recurrence(tensors, self._key.text, self._key.steps, self._lengths)
            return output, tuple([part.unsqueeze(0) for part in after])
        output, *after = self._inference.run(tensors, self._shapes)
        return output, tuple(after)

    @cached_property
    def _inference(self) -> Plan:
        return inference_plan(self._key)

    @cached_property
    def _shapes(self) -> list[tuple[int, ...]]:
        """Of the output, and of the last states as a part of those of all layers."""
        output, *after = self._inference.call.made.shapes
        return [output, *[(1, *shape) for shape in after]]

    @cached_property
    def _way(self) -> Way:
        key = self._key
        return Way(key.text, key.steps, self._lengths, training_plan(key), self._blocks)

"""A call whose tensors have known shapes: its sheet, and the memory that it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from recurra.backends.cpu import memory
from recurra.backends.cpu.batch import Batch, Layout, batch_of
from recurra.backends.cpu.checked import check_ranks, check_sizes
from recurra.backends.cpu.compiled import Compiled, compiled
from recurra.backends.cpu.operands import Operands, Source, operands
from recurra.backends.cpu.product import BITS
from recurra.backends.cpu.sheet import GIVEN, Sheet, Span
from recurra.errors import UsageError
from recurra.graph import Expression

Form = tuple[torch.dtype, tuple[int, ...], tuple[int, ...]]  # of a tensor: format, shape, strides


class Key(NamedTuple):
    """All that decides how a call runs, but for where its memory lies.

    Attributes:
        text: the graph.
        steps: T.
        lengths: see `batch.bytes_of`; None where no row ends.
        forms: of the tensors that are given.
        threads: that PyTorch may use.
    """

    text: str
    steps: int
    lengths: bytes | None
    forms: tuple[Form, ...]
    threads: int


def forms_of(tensors: Sequence[Tensor]) -> tuple[Form, ...]:
    """What a plan knows of tensors."""
    return tuple([(t.dtype, t.shape, t.stride()) for t in tensors])


class Call:
    """What all plans of a key need.

    Attributes:
        operands: which tensors the recurrence takes.
        compiled: its kernels.
        batch: steps and rows.
        dtype: of all tensors.
        spans: of the tensors that are given.
        made: the tensors that it makes.
    """

    def __init__(self, key: Key) -> None:
        self.operands: Operands = operands(key.text)
        formats = {dtype for dtype, _, _ in key.forms}
        if len(formats) > 1 or not formats <= BITS.keys():
            raise UsageError(
                f"a recurrence got {', '.join(sorted(map(str, formats)))}; give it tensors of one "
                "number format, float32 or float64."
            )
        (self.dtype,) = formats
        self.spans = [
            Span.of(GIVEN + number, shape, strides)
            for number, (_, shape, strides) in enumerate(key.forms)
        ]
        for number, leading in enumerate(self.operands.leading[: len(self.spans)]):
            self.spans[number] = self.spans[number].merged(leading)
        shapes = [shape for _, shape, _ in key.forms]
        check_ranks(self.operands, shapes)
        rows = shapes[len(self.operands.taken)][0]  # of a state
        self.batch: Batch = batch_of(key.steps, rows, key.lengths)
        check_sizes(self.operands, shapes, self.batch)
        sizes = tuple(sorted(self.operands.sizes(shapes).items()))
        self.compiled: Compiled = compiled(self.operands.graph, sizes, BITS[self.dtype])
        self.made = Made(self.dtype, GIVEN + len(self.spans))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to run."""
        return not self.batch.steps or not self.batch.rows

    def sequence(self, size: int) -> tuple[int, int, int]:
        """The shape of a sequence."""
        return *self.batch.extent, size

    def sheet(self) -> Sheet:
        """A sheet, when all that the call makes is known."""
        return Sheet(self.dtype.itemsize, len(self.spans) + len(self.made.shapes))

    def divided(self) -> tuple[Sequence[Span], ...]:
        """(spans of sources, constants, stacked matrices, and what follows them)."""
        return self.operands.divide(self.spans)

    def constants(self) -> dict[Expression, Span]:
        """Where each constant lies."""
        return self.operands.constants(self.divided()[1])

    def is_whole(self, source: Source) -> bool:
        """Whether a source has a row for each step and row of the batch."""
        return self.spans[source.first].shape[:2] == self.batch.extent

    def product_shape(self, source: Source) -> tuple[int, int, int]:
        """The shape of a source that is computed."""
        x, weight = (self.spans[k].shape for k in source.numbers[:2])
        return x[0], x[1], weight[0]

    def reads(self, computed: dict[int, Span]) -> dict[Expression, tuple[Span, Layout]]:
        """Where each read lies; `computed` says it of sources that are products."""
        found = {}
        taken = self.operands
        for node, (number, position, members) in zip(
            taken.split.forward.reads, taken.reads, strict=True
        ):
            source = taken.sources[number]
            if source.is_product and number not in computed:
                continue
            span = computed[number] if source.is_product else self.spans[source.first]
            width = span.shape[-1] // members
            found[node] = span.columns(position * width, width), self.batch.layout(span)
        return found


class Made:
    """The tensors that a call makes.

    Args:
        dtype: of them.
        first: the base of the first.

    Attributes:
        shapes: of them.
        fronts: what there is memory for in front of each, see `memory.empty`.
    """

    def __init__(self, dtype: torch.dtype, first: int) -> None:
        self._like, self._first = torch.empty(0, dtype=dtype, device="cpu"), first
        self.shapes: list[tuple[int, ...]] = []
        self.fronts: list[tuple[int, int]] = []

    def new(self, shape: Sequence[int], front: tuple[int, int] = (0, 0)) -> Span:
        """One more. The span begins with what lies in front of the tensor, see `memory.empty`."""
        dimension, count = front
        whole = list(shape)
        if count:
            whole[dimension] += count
        self.shapes.append(tuple(shape))
        self.fronts.append(front)
        strides = memory.empty(self._like, *shape, front=front).stride()
        base = self._first + len(self.shapes) - 1
        start = -count * strides[dimension] if count else 0
        return Span(base, start, tuple(whole), strides)

    def number(self, span: Span) -> int:
        """Which of them a span lies in."""
        return span.base - self._first


@dataclass(frozen=True, eq=False)
class Plan:
    """How a call runs.

    Attributes:
        what: "inference", "training" (forward, for gradients to come) or "gradients".
        call: what it was made for; it holds what the sheet has the addresses of.
        sheet: closed.
    """

    what: str
    call: Call
    sheet: Sheet

    def run(
        self, given: Sequence[Tensor], shapes: Sequence[tuple[int, ...]] | None = None
    ) -> list[Tensor]:
        """Run all parts on tensors; what was made.

        Args:
            given: the tensors.
            shapes: of what is made, where it is to have others, of as many numbers, than the plan
                says.
        """
        like, rooms = given[0], self.call.made
        made = [
            memory.empty(like, *shape, front=front)
            for shape, front in zip(shapes or rooms.shapes, rooms.fronts, strict=True)
        ]
        if self.call.empty:
            for tensor in made:
                tensor.zero_()
        addresses = [tensor.data_ptr() for tensor in (*given, *made)]
        addresses += memory.work(*self.sheet.work)
        self.sheet.run(addresses)
        memory.worked()
        return made

"""Tensors that are blocks of rows of others, put together: what a recurrence takes of weights.

A layer stores weights in stacks; a recurrence takes some members of a stack, or their sum with
those of another (torch keeps two biases). Each such map is linear: blocks of rows go from one
tensor to another, and their gradients go back, without an operator of PyTorch for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Block(NamedTuple):
    """Some rows of an input.

    Attributes:
        number: of the input.
        first: row.
        rows: how many.
    """

    number: int
    first: int
    rows: int


Member = tuple[Block, ...]  # blocks whose sum it is


class RowBlocks:
    """Makes tensors from inputs, and gradients of inputs from those of the tensors.

    Args:
        sizes: rows of each input.
        tensors: for each tensor its members, one under another.

    Attributes:
        whole: for each tensor the number of the input that it is; None if it is more or less.
    """

    def __init__(self, sizes: Sequence[int], tensors: Sequence[Sequence[Member]]) -> None:
        self._sizes = sizes
        self._tensors = [_merged(members) for members in tensors]
        self.whole = [self._is_input(members) for members in self._tensors]
        self._back = [self._ways_back(number) for number in range(len(sizes))]

    def _is_input(self, members: list[Member]) -> int | None:
        if len(members) != 1 or len(members[0]) != 1:
            return None
        block = members[0][0]
        return block.number if block.rows == self._sizes[block.number] else None

    def tensors(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The tensors; views of inputs where they can be."""
        found = []
        for members, whole in zip(self._tensors, self.whole, strict=True):
            if whole is not None:
                found.append(inputs[whole])
                continue
            parts = [self._sum(inputs, member) for member in members]
            found.append(parts[0] if len(parts) == 1 else torch.cat(parts))
        return found

    def _sum(self, inputs: Sequence[Tensor], member: Member) -> Tensor:
        total: Tensor | None = None
        for number, first, rows in member:
            part = inputs[number]
            if rows != self._sizes[number]:
                part = part.narrow(0, first, rows)
            total = part if total is None else total + part
        assert total is not None
        return total

    # Gradients

    def _ways_back(self, number: int) -> list[tuple[int, int, int, int]]:
        """(first row of an input, rows, tensor, its row) of all that reads it, in order of rows."""
        found = []
        for tensor, members in enumerate(self._tensors):
            row = 0
            for member in members:
                found += [(b.first, b.rows, tensor, row) for b in member if b.number == number]
                row += member[0].rows
        return sorted(found)

    def wanted(self, asked: Sequence[bool]) -> list[bool]:
        """For each tensor whether a gradient is asked for, from the same for each input."""
        return [
            any(asked[block.number] for member in members for block in member)
            for members in self._tensors
        ]

    def gradients(
        self, found: Sequence[Tensor | None], asked: Sequence[bool]
    ) -> list[Tensor | None]:
        """The gradients of inputs that are asked for and have one, from those of the tensors."""
        return [self._gradient(number, found) if one else None for number, one in enumerate(asked)]

    def _gradient(self, number: int, found: Sequence[Tensor | None]) -> Tensor | None:
        ways = [way for way in self._back[number] if found[way[2]] is not None]
        if not ways:
            return None
        d = found[ways[0][2]] if len(ways) == 1 else None
        if d is not None and (not d.dim() or len(d) == ways[0][1] == self._sizes[number]):
            return d
        ends = [first + rows for first, rows, _, _ in ways]
        if [0, *ends] != [*(way[0] for way in ways), self._sizes[number]]:
            return self._gradient_by_sums(number, found)  # rows without a gradient, or with several
        # A copy, if it is a part too: two inputs never get different views of the same memory.
        parts = [(found[tensor], row, rows) for _, rows, tensor, row in ways]
        return torch.cat([d.narrow(0, row, rows) for d, row, rows in parts if d is not None])

    def _gradient_by_sums(self, number: int, found: Sequence[Tensor | None]) -> Tensor:
        given = [(*way, d) for way in self._back[number] if (d := found[way[2]]) is not None]
        like = given[0][-1]
        total = like.new_zeros(self._sizes[number], *like.shape[1:])
        for first, rows, _, row, d in given:
            total.narrow(0, first, rows).add_(d.narrow(0, row, rows))
        return total


def _merged(members: Sequence[Member]) -> list[Member]:
    """The same with members joined that are one under another in all their inputs."""
    found: list[Member] = []
    for member in members:
        last = found[-1] if found else ()
        goes_on = len(last) == len(member) and all(
            a.number == b.number and a.first + a.rows == b.first
            for a, b in zip(last, member, strict=True)
        )
        if goes_on:
            pairs = zip(last, member, strict=True)
            found[-1] = tuple(Block(a.number, a.first, a.rows + b.rows) for a, b in pairs)
        else:
            found.append(tuple(member))
    return found

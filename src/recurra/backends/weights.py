"""The weights of one layer and direction: stored in stacks, read by the names of the equations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


class Weights:
    """Named views of stacked weights.

    A stack holds the weights of its members one under another, so that one product serves them all.
    A member of several stacks is the sum of its parts (torch keeps two biases for each gate).

    Args:
        stacks: (members, tensor) with the tensor (len(members) * rows, ...).
        fixed: weights that are not trained, by name.
    """

    def __init__(
        self, stacks: Sequence[tuple[tuple[str, ...], Tensor]], fixed: Mapping[str, Tensor]
    ) -> None:
        self.stacks = stacks
        self.fixed = fixed

    def __getitem__(self, name: str) -> Tensor:
        """One weight: a view of its stack, or the sum of its parts."""
        if name in self.fixed:
            return self.fixed[name]
        parts = [
            _member(members, tensor, name) for members, tensor in self.stacks if name in members
        ]
        return _total(parts)

    def stacked(self, names: tuple[str, ...]) -> Tensor:
        """Several weights under one another; no copy where they are stored so."""
        places = _stacks_of(tuple([members for members, _ in self.stacks]), names)
        if places:
            return _total([self.stacks[place][1] for place in places])
        return torch.cat([self[name] for name in names])


@dataclass(frozen=True)
class Taken:
    """An instruction that takes weights, several of them under one another.

    Attributes:
        names: of the weights.
    """

    names: tuple[str, ...]

    def __call__(self, weights: Weights) -> Tensor:
        """The weights in one tensor."""
        return weights[self.names[0]] if len(self.names) == 1 else weights.stacked(self.names)


@lru_cache(maxsize=512)
def _stacks_of(stacks: tuple[tuple[str, ...], ...], names: tuple[str, ...]) -> tuple[int, ...]:
    """The stacks that hold these names and no others, in this order; none if some hold a part."""
    touching = [place for place, members in enumerate(stacks) if set(members) & set(names)]
    return tuple(touching) if all(stacks[place] == names for place in touching) else ()


def _member(members: tuple[str, ...], tensor: Tensor, name: str) -> Tensor:
    rows = tensor.shape[0] // len(members)
    return tensor.narrow(0, members.index(name) * rows, rows)


def _total(parts: list[Tensor]) -> Tensor:
    """The sum of the parts of a weight."""
    found = parts[0]
    for part in parts[1:]:
        found = found + part
    return found

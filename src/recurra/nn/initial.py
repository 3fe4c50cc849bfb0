"""Initial values: torch's default, and the wishes of a cell or user by weight name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from recurra.errors import UnknownNameError, UsageError

INITIALISERS: dict[str, Callable[[Tensor], Any]] = {
    "zeros": nn.init.zeros_,
    "ones": nn.init.ones_,
    "identity": nn.init.eye_,
    "orthogonal": nn.init.orthogonal_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
}


def uniform(parameter: Tensor, hidden_size: int) -> None:
    """Uniform in ±1/sqrt(H), the default of torch's recurrent layers."""
    bound = 1 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
    nn.init.uniform_(parameter, -bound, bound)


def check_wishes(wishes: Mapping[str, float | str], names: tuple[str, ...]) -> None:
    """Refuse a wish that no weight answers to, or an initialiser that is not known."""
    for pattern, wish in wishes.items():
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UnknownNameError("weight in init", pattern, names)
        if isinstance(wish, str) and wish not in INITIALISERS:
            raise UnknownNameError("initialiser", wish, INITIALISERS)
        if not isinstance(wish, str | int | float):
            raise UsageError(
                f"init[{pattern!r}] is {wish!r}; give a number or {', '.join(INITIALISERS)}."
            )


def wished(name: str, like: Tensor, wishes: Mapping[str, float | str]) -> Tensor | None:
    """The initial value that the last matching wish gives to a weight; None if there is none."""
    value = None
    for pattern, wish in wishes.items():
        if fnmatchcase(name, pattern):
            value = torch.empty_like(like, memory_format=torch.contiguous_format)
            if isinstance(wish, str):
                INITIALISERS[wish](value)
            else:
                value.fill_(wish)
    return value

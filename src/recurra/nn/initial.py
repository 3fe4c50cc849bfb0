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
    "identity": lambda weight: (nn.init.eye_ if weight.dim() == 2 else nn.init.dirac_)(weight),
    "orthogonal": nn.init.orthogonal_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
}


def initialiser(wish: str) -> Callable[[Tensor], Any] | None:
    """The initialiser of a name, or of "uniform LOW HIGH"; None if there is none."""
    kind, *ends = wish.split()
    if kind != "uniform" or len(ends) != 2:
        return INITIALISERS.get(wish)
    try:
        low, high = map(float, ends)
    except ValueError:
        return None
    return lambda weight: nn.init.uniform_(weight, low, high)


def uniform(parameter: Tensor, hidden_size: int) -> None:
    """Uniform in ±1/sqrt(H), the default of torch's recurrent layers."""
    bound = 1 / math.sqrt(hidden_size) if hidden_size > 0 else 0.0
    nn.init.uniform_(parameter, -bound, bound)


def check_wishes(wishes: Mapping[str, float | str], names: tuple[str, ...]) -> None:
    """Refuse a wish that no weight answers to, or an initialiser that is not known."""
    for pattern, wish in wishes.items():
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UnknownNameError("weight in init", pattern, names)
        if isinstance(wish, str) and initialiser(wish) is None:
            raise UnknownNameError("initialiser", wish, [*INITIALISERS, "uniform LOW HIGH"])
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
            draw = initialiser(wish) if isinstance(wish, str) else None
            if draw is not None:
                draw(value)
            else:
                value.fill_(float(wish))
    return value

"""The options of a layer that change its graph: recurrent masks, zoneout, resets, lengths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import torch

from recurra.errors import UnknownNameError, UsageError
from recurra.graph import Graph
from recurra.graph.rewrite import (
    with_recurrent_dropout,
    with_reset,
    with_shown,
    with_zoneout,
)
from recurra.graph.serial import dumps, loads


@torch.compiler.assume_constant_result
def variant(
    graph: Graph,
    recurrent_dropout: bool,
    zoneout: tuple[str, ...],
    reset: bool,
    shown: tuple[str, ...] = (),
) -> str:
    """The graph of a cell, with the options of one call written into it, as text."""
    return _variant(graph, recurrent_dropout, zoneout, reset, shown)


@lru_cache(maxsize=512)
def _variant(
    graph: Graph,
    recurrent_dropout: bool,
    zoneout: tuple[str, ...],
    reset: bool,
    shown: tuple[str, ...],
) -> str:
    if shown:
        graph = with_shown(graph, (*shown, *graph.shown))
    if recurrent_dropout:
        graph = with_recurrent_dropout(graph)
    if zoneout:
        graph = with_zoneout(graph, zoneout)
    if reset:
        graph = with_reset(graph)
    return dumps(graph)


@torch.compiler.assume_constant_result
def given_names(graph: str) -> tuple[str, ...]:
    """The values of a row that a graph reads and a layer gives: masks, and initial states."""
    return _given_names(graph)


@lru_cache(maxsize=512)
def _given_names(graph: str) -> tuple[str, ...]:
    return tuple(str(leaf.attribute) for leaf in loads(graph).leaves("given"))


def probability(name: str, value: float) -> float:
    """A probability of dropping.

    Raises:
        UsageError: it is not in 0..1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UsageError(f"{name}={value!r} is no probability; give a number from 0 to 1.")
    return float(value)


def zoneout_rates(zoneout: float | Mapping[str, float], states: Iterable[str]) -> dict[str, float]:
    """The share of units that keep their old value, for each state that has one."""
    states = tuple(states)
    rates = zoneout if isinstance(zoneout, Mapping) else dict.fromkeys(states, zoneout)
    for name in rates:
        if name not in states:
            raise UnknownNameError("state in zoneout", name, states)
    checked = {name: probability(f"zoneout of {name}", rate) for name, rate in rates.items()}
    return {name: rate for name, rate in checked.items() if rate}

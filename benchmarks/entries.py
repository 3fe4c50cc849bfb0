"""One entry: every peer through the gate, then all of them timed in alternation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import peers
from gate import RefusedError, check
from limits import Limit, limit
from problem import Problem
from registry import Entry
from shapes import SHAPES
from timing import Effort, Function, Spread, measure


@dataclass
class Row:
    """One peer in an entry.

    Attributes:
        peer: its name.
        time: the spread of its times, if it was timed.
        deviation: from the reference, as a share of the largest value of a quantity.
        ratio: its median over ours: how many times faster we are.
        refused: what the gate said against it.
        left_out: why it was not tried.
    """

    peer: str
    time: Spread | None = None
    deviation: float | None = None
    ratio: float | None = None
    refused: str | None = None
    left_out: str | None = None


@dataclass
class Outcome:
    """An entry, its rows, and what they are measured against."""

    entry: Entry
    rows: list[Row] = field(default_factory=list)
    limit: Limit | None = None


def run(entry: Entry, names: Iterable[str], effort: Effort) -> Outcome:
    """Time those of the named peers that have the entry's cell and use."""
    problem = Problem(entry.cell, SHAPES[entry.shape], entry.use)
    covering = [name for name in names if peers.PEERS[name].covers(entry.cell, entry.use)]
    outcome = Outcome(entry)
    functions: dict[str, Function] = {}
    for name in covering:
        row, function = admit(name, problem)
        outcome.rows.append(row)
        if function is not None:
            functions[name] = function
    times = measure(functions, effort)
    ours = times["recurra"].median if "recurra" in times else None
    if ours:
        outcome.limit = limit(problem, ours)
    for row in outcome.rows:
        row.time = times.get(row.peer)
        row.ratio = row.time.median / ours if row.time and ours else None
    return outcome


def admit(name: str, problem: Problem) -> tuple[Row, Function | None]:
    """The peer's function, if it is there and computes what the reference computes."""
    peer = peers.load(name)
    if isinstance(peer, str):
        return Row(name, left_out=peer), None
    try:
        prepared = peer.prepare(problem)
        share = check(prepared.results(), problem.expected, peer.tolerance)
    except peers.LeftOutError as reason:
        return Row(name, left_out=str(reason)), None
    except RefusedError as reason:
        return Row(name, refused=str(reason)), None
    except Exception as error:  # whatever a peer's library throws concerns this row alone
        said = (str(error).splitlines() or [""])[0]
        return Row(name, refused=f"fails: {type(error).__name__}: {said}"), None
    return Row(name, deviation=share), prepared.run

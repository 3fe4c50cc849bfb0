"""All lines of a diagram: laid one after another, then those of one value again if better."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from recurra.inspection.diagram.elements import Edge
from recurra.inspection.diagram.routing import Lattice, NoRoute, Pin, Point

PASSES = 8


@dataclass(frozen=True)
class Job:
    """An edge, with the pins where its line may begin and end."""

    edge: Edge
    starts: tuple[Pin, ...]
    goals: tuple[Pin, ...]


Paths = dict[Edge, list[Point]]


def wire(lattice: Lattice, jobs: list[Job], fixed: Iterable[Edge]) -> Paths:
    """The points of every line.

    Args:
        lattice: with the nodes on it, and no line yet.
        jobs: in the order in which they are laid.
        fixed: edges that must keep their first line.

    Raises:
        NoRoute: there is no way left for one of them.
    """
    paths: Paths = {}
    for job in jobs:
        paths[job.edge] = lattice.route(job.edge.source, job.starts, job.goals)
    nets: dict[str, list[Job]] = {}
    for job in jobs:
        nets.setdefault(job.edge.source, []).append(job)
    straight = set(fixed)
    for k in range(PASSES):
        if not any(
            [
                _again(lattice, net, own[::-1] if k % 2 else own, paths, straight)
                for net, own in nets.items()
            ]
        ):
            break
    return paths


def _again(lattice: Lattice, net: str, jobs: list[Job], paths: Paths, fixed: set[Edge]) -> bool:
    """Lay the lines of one net anew; they are kept where they cost less than before."""
    old = {job.edge: paths[job.edge] for job in jobs}
    price = lattice.price(net) + _pins(jobs, old)
    lattice.take(net)
    new: Paths = {edge: path for edge, path in old.items() if edge in fixed}
    for path in new.values():
        lattice.put(net, path)
    try:
        for job in jobs:
            if job.edge not in fixed:
                new[job.edge] = lattice.route(net, job.starts, job.goals)
        better = lattice.price(net) + _pins(jobs, new) < price - 1e-6
    except NoRoute:
        better = False
    if better:
        paths.update(new)
        return True
    lattice.take(net)
    for path in old.values():
        lattice.put(net, path)
    return False


def _pins(jobs: list[Job], paths: Paths) -> float:
    """What the pins cost that these lines use."""
    total = 0.0
    for job in jobs:
        path = paths[job.edge]
        total += min(pin.cost for pin in job.starts if pin.point == path[0])
        total += min(pin.cost for pin in job.goals if pin.point == path[-1])
    return total

"""Lines that go on as one: operands that several weighted sums read together.

[h, x] of the usual drawings: one line with both, of which every gate takes its copy.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from recurra.inspection.diagram.elements import Diagram, Edge, Node

MOST = 3  # lines that meet in one point: from the left, from below, from above


def with_joins(diagram: Diagram) -> Diagram:
    """The diagram with a join for every set of operands that is read as one."""
    together = {key: _under_weights(diagram, key) for key in diagram.nodes}
    count = Counter(group for group in together.values() if 2 <= len(group) <= MOST)
    joined = {
        group
        for group, readers in count.items()
        if readers > 1 or all(diagram.kind(key) in ("input", "before") for key in group)
    }
    nodes = dict(diagram.nodes)
    edges: list[Edge] = []
    names: dict[frozenset[str], str] = {}
    for edge in diagram.edges:
        group = together[edge.target]
        if group not in joined or edge.source not in group:
            edges.append(edge)
        elif group not in names:
            names[group] = key = f"join:{len(names) + 1}"
            order = sorted(group, key=lambda k: _rank(diagram, k))
            nodes[key] = Node(key, "join", "", "", ", ".join(_title(diagram, k) for k in order))
            edges += [Edge(source, key) for source in order]
            edges.append(Edge(key, edge.target, weighted=True))
        elif not any(e.source == names[group] and e.target == edge.target for e in edges):
            edges.append(Edge(names[group], edge.target, weighted=True))
    return replace(diagram, nodes=nodes, edges=tuple(edges))


def _under_weights(diagram: Diagram, target: str) -> frozenset[str]:
    """The operands of a gate that matrices act on."""
    if diagram.kind(target) != "gate":
        return frozenset()
    return frozenset(
        e.source for e in diagram.edges if e.target == target and e.weighted and not e.sign
    )


def _rank(diagram: Diagram, key: str) -> tuple[bool, str]:
    """States and values come along, inputs from below."""
    return diagram.kind(key) == "input", key


def _title(diagram: Diagram, key: str) -> str:
    node = diagram.nodes[key]
    return f"{node.value or key}[t-1]" if node.kind == "before" else f"{node.value or key}[t]"

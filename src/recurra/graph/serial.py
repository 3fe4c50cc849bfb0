"""A graph as text and back: JSON of its nodes, operands first.

What leaves the process (an exported program) carries its equations in this form.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from recurra.errors import UsageError
from recurra.graph.expression import Expression, walk
from recurra.graph.graph import Graph

_FORMAT = 1


def dumps(graph: Graph) -> str:
    """The graph as JSON; equal graphs give equal texts."""
    leaves = [leaf for leaf, _ in graph.leaf_shapes]
    nodes = walk((*leaves, *graph.inputs, *graph.states, *graph.parameters, *graph.roots))
    place = {node: number for number, node in enumerate(nodes)}

    def places(some: Sequence[Expression]) -> list[int]:
        return [place[node] for node in some]

    content = {
        "format": _FORMAT,
        "name": graph.name,
        "nodes": [[node.op, places(node.args), node.attribute] for node in nodes],
        "inputs": places(graph.inputs),
        "states": places(graph.states),
        "updates": places(graph.updates),
        "output": place[graph.output],
        "parameters": places(graph.parameters),
        "named": [[name, place[value]] for name, value in graph.named],
        "shown": list(graph.shown),
        "shapes": [[place[leaf], list(shape)] for leaf, shape in graph.leaf_shapes],
    }
    return json.dumps(content, separators=(",", ":"))


@lru_cache(maxsize=512)
def loads(text: str) -> Graph:
    """The graph that `dumps` wrote; one object for one text.

    Raises:
        UsageError: the text is no graph, or one of another version of recurra.
    """
    try:
        content = json.loads(text)
        if content["format"] != _FORMAT:
            raise UsageError(
                f"the graph is written in format {content['format']}, and this version of recurra "
                f"reads format {_FORMAT}; export it again."
            )
        return _graph(content)
    except (ValueError, TypeError, LookupError) as error:
        raise UsageError(
            f"the text is no graph of recurra ({type(error).__name__}: {error}): {text[:60]!r}; "
            "give what recurra.graph.serial.dumps returned."
        ) from error


def _graph(content: dict[str, Any]) -> Graph:
    nodes: list[Expression] = []
    for op, args, attribute in content["nodes"]:
        nodes.append(Expression(op, tuple(nodes[arg] for arg in args), attribute))

    def some(key: str) -> tuple[Expression, ...]:
        return tuple(nodes[number] for number in content[key])

    return Graph(
        name=content["name"],
        inputs=some("inputs"),
        states=some("states"),
        updates=some("updates"),
        output=nodes[content["output"]],
        parameters=some("parameters"),
        named=tuple((name, nodes[number]) for name, number in content["named"]),
        leaf_shapes=tuple((nodes[number], tuple(shape)) for number, shape in content["shapes"]),
        shown=tuple(content["shown"]),
    )

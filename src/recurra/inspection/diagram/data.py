"""A layout as plain data, for JSON and for pages that put numbers on it."""

from __future__ import annotations

from typing import Any

from recurra.inspection.diagram.layout import Layout


def facts(layout: Layout) -> dict[str, Any]:
    """Nodes and lines by the names that the SVG uses, with their places in pixels.

    x runs to the right and y down, from the upper left corner of the cell; a node's place is its
    middle. A port (input, state, output) is a point on the side of the cell.
    """
    return {
        "cell": layout.diagram.name,
        "states": list(layout.diagram.states),
        "width": layout.width,
        "height": layout.height,
        "nodes": [
            {
                "node": key,
                "kind": "state" if box.node.kind in ("before", "after") else box.node.kind,
                "value": box.node.value or None,
                "time": box.node.kind if box.node.kind in ("before", "after") else None,
                "label": box.node.label.removeprefix("weight:"),
                "equation": box.node.text or None,
                "place": [box.x, box.y],
                "size": [2 * box.half_width, 2 * box.half_height],
            }
            for key, box in layout.boxes.items()
        ],
        "edges": [
            {
                "from": line.edge.source,
                "to": line.edge.target,
                "sign": line.edge.sign or "+",
                "rail": line.rail,
                "points": [list(point) for point in line.points],
            }
            for line in layout.lines
        ],
    }

"""Where things stand in a diagram: nothing covers anything else, lines end where they should."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings

from recurra import cells
from recurra.graph import Cell
from recurra.inspection.diagram import Layout, place
from support.drawn import Piece, overlap, pieces, placed, rectangles
from support.random_cells import random_cells

NEAR = 3.0  # pixels that must be left between a node and what passes it


def faults(layout: Layout) -> list[str]:
    """All that is wrong with the places of a layout."""
    return [*_boxes(layout), *_passing(layout), *_along(layout), *_ends(layout)]


def _boxes(layout: Layout) -> list[str]:
    """Boxes that overlap or leave the cell."""
    found = rectangles(layout)
    wrong = [
        f"{a} covers {b}" for a, b in combinations(found, 2) if overlap(found[a], found[b], NEAR)
    ]
    inside = (0.0, 0.0, layout.width, layout.height)
    return wrong + [
        f"{key} leaves the cell" for key, box in found.items() if not within(box, inside)
    ]


def within(a: Piece, b: Piece) -> bool:
    return b[0] <= a[0] and b[1] <= a[1] and a[2] <= b[2] and a[3] <= b[3]


def _passing(layout: Layout) -> list[str]:
    """Lines that touch a box which is none of their ends."""
    boxes = rectangles(layout)
    return [
        f"{source} -> {target} runs through {key}"
        for source, target, piece in pieces(layout)
        for key, box in boxes.items()
        if key not in (source, target) and overlap(piece, box, NEAR)
    ]


def _along(layout: Layout) -> list[str]:
    """Pieces of two values that share more than one point, or touch without crossing."""
    wrong = []
    for (a, to_a, p), (b, to_b, q) in combinations(pieces(layout), 2):
        meet = p[0] <= q[2] and q[0] <= p[2] and p[1] <= q[3] and q[1] <= p[3]
        join = to_a if to_a == to_b else b if to_a == b else a if to_b == a else ""
        if a == b or not meet or layout.diagram.kind(join or a) == "join":
            continue
        if not (crosses(p, q) or crosses(q, p)):
            wrong.append(f"{a} -> {to_a} touches {b} -> {to_b}")
    return wrong


def crosses(p: Piece, q: Piece) -> bool:
    """Whether a level piece p and an upright piece q cross in the middle of both."""
    return p[1] == p[3] and q[0] == q[2] and p[0] < q[0] < p[2] and q[1] < p[1] < q[3]


def _ends(layout: Layout) -> list[str]:
    """Lines that do not begin and end at the sides of their boxes, or are not level and upright."""
    wrong = []
    for line in layout.lines:
        name = f"{line.edge.source} -> {line.edge.target}"
        for key, (x, y) in (
            (line.edge.source, line.points[0]),
            (line.edge.target, line.points[-1]),
        ):
            box = layout.boxes[key]
            across, up = abs(x - box.x), abs(y - box.y)
            on_side = (across == box.half_width and up <= box.half_height) or (
                up == box.half_height and across <= box.half_width
            )
            if not on_side:
                wrong.append(f"{name} misses {key}")
        if any(a[0] != b[0] and a[1] != b[1] for a, b in pairwise(line.points)):
            wrong.append(f"{name} is slanted")
    return wrong


@pytest.mark.parametrize("name", cells.names())
def test_nothing_covers_anything_else(name: str) -> None:
    assert faults(placed(name)) == []


@pytest.mark.parametrize("name", cells.names())
def test_the_ports_are_on_their_sides(name: str) -> None:
    layout = placed(name)
    for box in layout.boxes.values():
        sides = {
            "before": box.x == 0,
            "after": box.x == layout.width,
            "input": box.y == layout.height,
            "output": box.y == 0,
        }
        assert sides.get(box.node.kind, True)


@pytest.mark.parametrize("name", cells.names())
def test_a_state_leaves_at_the_height_where_it_came_in(name: str) -> None:
    layout = placed(name)
    for state in layout.diagram.states:
        assert layout.boxes[f"before:{state}"].y == layout.boxes[f"after:{state}"].y


@pytest.mark.parametrize("name", cells.names())
def test_a_carried_state_runs_straight_through(name: str) -> None:
    layout = placed(name)
    for state in layout.rails:
        height = layout.boxes[f"before:{state}"].y
        rail = [line for line in layout.lines if line.rail and line.points[0][1] == height]
        assert len(rail) >= 2
        assert all(y == height for line in rail for _, y in line.points)
        ends = sorted(x for line in rail for x in (line.points[0][0], line.points[-1][0]))
        assert (ends[0], ends[-1]) == (0.0, layout.width)


@given(random_cells())
@settings(max_examples=15)
def test_any_cell_finds_room(random: Cell) -> None:
    assert faults(place(random)) == []


def test_no_value_runs_far_backwards_in_the_classic_cells() -> None:
    for name in ("elman", "lstm", "gru", "gru_reset_before", "mgu", "lstm_projection", "rhn_2"):
        layout = placed(name)
        for line in layout.lines:
            assert all(b[0] >= a[0] for a, b in pairwise(line.points)), (name, line.edge)


def test_a_fault_is_seen() -> None:
    """The checks above can fail: one box is moved onto a line of another."""
    layout = placed("lstm")
    boxes = dict(layout.boxes)
    boxes["i"] = boxes["f"]
    moved = Layout(layout.diagram, layout.width, layout.height, boxes, layout.lines, layout.rails)
    found = faults(moved)
    assert any("covers" in fault for fault in found)
    assert any("runs through i" in fault for fault in found)
    assert any("misses i" in fault for fault in found)

"""A layout as SVG text: one step, or a chain of steps side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from math import ceil

from recurra.inspection.diagram.layout import Box, Layout, Line
from recurra.inspection.diagram.lettering import SIZE, name_width, names_on_lines, width
from recurra.inspection.diagram.strokes import (
    CIRCLE,
    STUB,
    arrow,
    direction,
    extended,
    gaps,
    number,
    path,
)
from recurra.inspection.diagram.style import style_sheet
from recurra.inspection.diagram.wording import parts

_PAPER = 10.0  # pixels of paper around everything
_SIDE = STUB + 22
_GROUPS = {"input": "in", "output": "out", "gate": "gate", "join": "join"}


@dataclass(frozen=True)
class Moment:
    """One step of a chain: how far it is from t, and whether nothing comes after it."""

    step: int
    last: bool

    def time(self, before: int = 0) -> str:
        """Its time, or that of some steps before: t, t−1, t+1, ..."""
        far = self.step - before
        return "t" if far == 0 else f"t{'−' if far < 0 else '+'}{abs(far)}"


def svg_text(layout: Layout, steps: int = 1, interiors: str = "all", theme: str = "auto") -> str:
    """The text of an SVG file.

    Args:
        layout: of the cell.
        steps: how many steps stand side by side; t is the middle one.
        interiors: "all", or "middle" for the inside of the step at t only.
        theme: light, dark, or auto for what the screen prefers.
    """
    reach = STUB + CIRCLE + _PAPER
    closed, x, groups = shut(layout), _SIDE, []
    for k in range(steps):
        moment = Moment(k - steps // 2, k == steps - 1)
        shown = layout if interiors == "all" or moment.step == 0 else closed
        inside = "\n".join(_step(shown, moment, steps > 1))
        move = f"translate({number(x)} {number(reach)})"
        groups.append(f'<g data-step="{moment.step}" transform="{move}">\n{inside}\n</g>')
        x += shown.width + 2 * STUB
    size = number(x - 2 * STUB + _SIDE), number(layout.height + 2 * reach)
    name = escape(layout.diagram.name)
    chain = f", {steps} steps side by side" if steps > 1 else ""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="recurra-cell" role="img" '
        f'data-cell="{name}" viewBox="0 0 {size[0]} {size[1]}" '
        f'width="{size[0]}" height="{size[1]}">'
    )
    words = f"<title>The cell {name}{chain}</title>\n<desc>{escape(description(layout))}</desc>"
    sheet = f"<style>{style_sheet(theme)}</style>"
    paper = f'<rect class="bg" width="{size[0]}" height="{size[1]}"/>'
    return "\n".join([head, words, sheet, paper, *groups, "</svg>"]) + "\n"


def description(layout: Layout) -> str:
    """The diagram in words, for who cannot see it: what goes in and out, and the equations."""
    nodes = layout.diagram.nodes.values()
    reads = ", ".join(node.value for node in nodes if node.kind == "input")
    gives = ", ".join(node.value for node in nodes if node.kind == "output")
    carries = ", ".join(layout.diagram.states)
    equations = "; ".join(node.text for node in nodes if node.text and node.value)
    return f"Reads {reads}; carries {carries} to the next step; gives out {gives}. {equations}."


def shut(layout: Layout) -> Layout:
    """The cell as one box with its name: ports only, and no wider than it needs."""
    wide = max(120.0, width(layout.diagram.name, 22.0) + 48)
    ports = {key: box for key, box in layout.boxes.items() if box.node.kind in _ENDS}
    inputs = [key for key, box in ports.items() if box.node.kind == "input"]
    for key, box in ports.items():
        if key in inputs:
            x = wide * (inputs.index(key) + 1) / (len(inputs) + 1)
        else:
            x = {"before": 0.0, "after": wide, "output": wide / 2}[box.node.kind]
        ports[key] = replace(box, x=x)
    return replace(layout, width=wide, boxes=ports, lines=())


def _step(layout: Layout, moment: Moment, chained: bool) -> Iterator[str]:
    """One step of the chain."""
    size = f'width="{number(layout.width)}" height="{number(layout.height)}"'
    yield f'<rect class="body" {size} rx="16"/>'
    if layout.lines:
        yield from _lines(layout, moment)
        for key, (x, y) in names_on_lines(layout, "t+1" if chained else "t").items():
            name = _name(layout.boxes[key].node.value, moment.time())
            yield f'<text class="on" x="{number(x)}" y="{number(y)}">{name}</text>'
    else:
        yield from _stubs(layout, moment)
        middle = f'x="{number(layout.width / 2)}" y="{number(layout.height / 2 + 7)}"'
        yield f'<text class="big" {middle}>{escape(layout.diagram.name)}</text>'
    for box in layout.boxes.values():
        yield _node(box, moment)


def _lines(layout: Layout, moment: Moment) -> Iterator[str]:
    """All lines, the rails last; each has a gap around it where it crosses those before."""
    nets: dict[str, list[Line]] = {}
    for line in layout.lines:
        nets.setdefault(line.edge.source, []).append(line)
    rails = {line.edge.source for line in layout.lines if line.rail}
    before: list[Line] = []
    for source in sorted(nets, key=lambda source: source in rails):
        crossed = gaps(nets[source], before)
        if crossed:
            yield f'<path class="halo" d="{crossed}"/>'
        for line in sorted(nets[source], key=lambda line: line.rail):
            edge, points = line.edge, extended(layout, line)
            kind = layout.diagram.kind(edge.target)
            goes_on = kind == "join" or (kind == "after" and not moment.last)
            head = "" if goes_on else f'<path class="head" d="{arrow(*points[-2:])}"/>'
            yield (
                f'<g class="edge{" rail" if line.rail else ""}" data-from="{escape(edge.source)}" '
                f'data-to="{escape(edge.target)}"><path d="{path(points)}"/>{head}</g>'
            )
            if edge.sign:
                yield _sign(line)
        before += nets[source]


def _sign(line: Line) -> str:
    """The mark of a subtracted value, or of a divisor, where its line ends."""
    (x, y), (dx, dy) = line.points[-1], direction(*line.points[-2:])
    x += abs(dy) * 9 - dx * 13
    y -= abs(dx) * 6 + dy * 13 - abs(dy) * 5
    mark = {"-": "−", "/": "÷"}[line.edge.sign]
    return f'<text class="sign" x="{number(x)}" y="{number(y)}">{mark}</text>'


_ENDS = {
    "before": ((-STUB, 0.0), (0.0, 0.0)),
    "after": ((0.0, 0.0), (STUB, 0.0)),
    "input": ((0.0, STUB - CIRCLE), (0.0, 0.0)),
    "output": ((0.0, 0.0), (0.0, CIRCLE - STUB)),
}


def _stubs(layout: Layout, moment: Moment) -> Iterator[str]:
    """The ends of all lines outside a cell whose inside is not shown."""
    for box in layout.boxes.values():
        start, end = ((box.x + dx, box.y + dy) for dx, dy in _ENDS[box.node.kind])
        rail = " rail" if box.node.value in layout.rails and box.node.kind != "output" else ""
        goes_on = box.node.kind == "after" and not moment.last
        head = "" if goes_on else f'<path class="head" d="{arrow(start, end)}"/>'
        yield f'<g class="edge{rail}"><path d="{path([start, end])}"/>{head}</g>'


def _node(box: Box, moment: Moment) -> str:
    node = box.node
    is_state = node.kind in ("before", "after")
    facts = {
        "node": node.key,
        "kind": "state" if is_state else node.kind,
        "value": node.value,
        "time": node.kind if is_state else "",
    }
    data = "".join(f' data-{key}="{escape(fact)}"' for key, fact in facts.items() if fact)
    group = "state" if is_state else _GROUPS.get(node.kind, "point")
    tip = f"<title>{escape(node.text)}</title>" if node.text else ""
    if is_state:
        seen = _state(box, moment)
    elif node.kind in ("input", "output"):
        seen = _circle(box, moment)
    else:
        seen = _box(box) if node.kind != "join" else ""
    return f'<g class="node {group}"{data}>{tip}{seen}</g>'


def _circle(box: Box, moment: Moment) -> str:
    """An input below the cell, or an output above it; wider where its name is long."""
    y = box.y + (STUB if box.node.kind == "input" else -STUB)
    name = box.node.value
    half = max(CIRCLE, ceil(name_width(name, moment.time()) / 2 + 8))
    text = _name(name, "" if name == "t" else moment.time())
    return (
        f'<rect x="{number(box.x - half)}" y="{number(y - CIRCLE)}" width="{number(2 * half)}" '
        f'height="{number(2 * CIRCLE)}" rx="{number(CIRCLE)}"/>'
        f'<text x="{number(box.x)}" y="{number(y + 5)}">{text}</text>'
    )


def _state(box: Box, moment: Moment) -> str:
    """The name of a state over its line at the side of the cell; once between two steps."""
    if box.node.kind == "after" and not moment.last:
        return ""
    before = box.node.kind == "before"
    x = box.x + (STUB / 2 + 4) * (-1 if before else 1)
    text = _name(box.node.value, moment.time(1 if before else 0))
    return f'<text x="{number(x)}" y="{number(box.y - 8)}">{text}</text>'


def _box(box: Box) -> str:
    across, up = box.half_width, box.half_height
    corner = 5.0 if box.node.kind == "gate" else up
    label = box.node.label
    weight = label.startswith("weight:")
    text = _name(label.removeprefix("weight:"), "") if weight else escape(label)
    return (
        f'<rect x="{number(box.x - across)}" y="{number(box.y - up)}" '
        f'width="{number(2 * across)}" height="{number(2 * up)}" rx="{number(corner)}"/>'
        f'<text x="{number(box.x)}" y="{number(box.y + 5.5)}">{text}</text>'
    )


def _name(name: str, when: str) -> str:
    """A name in italics with its subscripts; a base of several letters is upright."""
    base, below = parts(name, when)
    slant = ' class="i"' if len(base) == 1 else ""
    drop = number(0.22 * SIZE)
    sub = f'<tspan class="sub" dy="{drop}">{escape(below)}</tspan>' if below else ""
    return f"<tspan{slant}>{escape(base)}</tspan>{sub}"

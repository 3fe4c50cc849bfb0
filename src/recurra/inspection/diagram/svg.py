"""A layout as SVG text: one step, or a chain of steps side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from itertools import pairwise

from recurra.inspection.diagram.layout import Box, Layout, Line
from recurra.inspection.diagram.lettering import SIZE, name_width, names_on_lines
from recurra.inspection.diagram.style import style_sheet
from recurra.inspection.diagram.wording import parts

RADIUS = 9.0
STUB = 46.0  # pixels of a line outside the cell
CIRCLE = 19.0
EDGE = 10.0  # pixels of paper around everything
_HEAD = 7.0
_GAP = 5.0  # pixels of a line that crosses another
_KINDS = {"before": "state", "after": "state"}


def svg(layout: Layout, steps: int = 1, whole: bool = True, theme: str = "auto") -> str:
    """The text of an SVG file.

    Args:
        layout: of the cell.
        steps: how many steps stand side by side; t is the middle one.
        whole: whether all of them show their interior, or only the one at t.
        theme: light, dark, or auto for what the screen prefers.
    """
    reach = STUB + CIRCLE + EDGE
    pitch = layout.width + 2 * STUB
    wide = pitch * (steps - 1) + layout.width + 2 * (STUB + 22)
    high = layout.height + 2 * reach
    name = layout.diagram.name
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="recurra-cell" role="img" '
        f'viewBox="0 0 {_n(wide)} {_n(high)}" width="{_n(wide)}" height="{_n(high)}" '
        f'data-cell="{escape(name)}">'
    )
    body = [
        f"<title>{escape(title(layout, steps))}</title>",
        f"<desc>{escape(description(layout))}</desc>",
    ]
    body += [
        f"<style>{style_sheet(theme)}</style>",
        '<rect class="bg" width="100%" height="100%"/>',
    ]
    middle = steps // 2
    for k in range(steps):
        shown = whole or k == middle
        place = f"translate({_n(STUB + 22 + k * pitch)} {_n(reach)})"
        body += [f'<g data-step="{k - middle}" transform="{place}">']
        body += _step(layout, k - middle, shown, last=k == steps - 1)
        body += ["</g>"]
    return "\n".join([head, *body, "</svg>"]) + "\n"


def title(layout: Layout, steps: int = 1) -> str:
    """What a diagram shows, in one line."""
    chain = f", {steps} steps side by side" if steps > 1 else ""
    return f"The cell {layout.diagram.name}{chain}"


def description(layout: Layout) -> str:
    """The diagram in words, for who cannot see it: every named value by its equation."""
    nodes = layout.diagram.nodes.values()
    states = ", ".join(layout.diagram.states)
    reads = ", ".join(node.value for node in nodes if node.kind == "input")
    gives = ", ".join(node.value for node in nodes if node.kind == "output")
    equations = "; ".join(node.text for node in nodes if node.text and node.value)
    return f"Reads {reads}; carries {states} to the next step; gives out {gives}. {equations}."


def time(step: int) -> str:
    """t, t−1, t+1, ..."""
    return "t" if step == 0 else f"t{'−' if step < 0 else '+'}{abs(step)}"


def _step(layout: Layout, step: int, shown: bool, last: bool) -> Iterator[str]:
    """One step of the chain."""
    yield f'<rect class="body" width="{_n(layout.width)}" height="{_n(layout.height)}" rx="16"/>'
    if shown:
        yield from _lines(layout)
    else:
        yield from _stubs(layout)
        middle = f'x="{_n(layout.width / 2)}" y="{_n(layout.height / 2 + 7)}"'
        yield f'<text class="big" {middle}>{escape(layout.diagram.name)}</text>'
    for box in layout.boxes.values():
        if shown or not box.half_width:
            yield from _node(layout, box, step, last)
    if shown:
        for key, (x, y) in names_on_lines(layout).items():
            name = layout.boxes[key].node.value
            yield f'<text class="on" x="{_n(x)}" y="{_n(y)}">{_name(name, time(step))}</text>'


def _lines(layout: Layout) -> Iterator[str]:
    """All lines, the rails last; each has a gap around it where it crosses those before."""
    nets: dict[str, list[Line]] = {}
    for line in sorted(layout.lines, key=lambda line: line.rail):
        nets.setdefault(line.edge.source, []).append(line)
    rails = {line.edge.source for line in layout.lines if line.rail}
    before: list[Line] = []
    for source in sorted(nets, key=lambda source: source in rails):
        gaps = "".join(_gaps(nets[source], before))
        if gaps:
            yield f'<path class="halo" d="{gaps}"/>'
        for line in nets[source]:
            edge, rail = line.edge, " rail" if line.rail else ""
            yield (
                f'<g class="edge{rail}" data-from="{escape(edge.source)}" '
                f'data-to="{escape(edge.target)}"><path d="{_path(_ended(layout, line))}"/>'
                f"{_head(layout, line)}</g>"
            )
            yield from _sign(line)
        before += nets[source]


def _gaps(lines: Iterable[Line], before: Iterable[Line]) -> Iterator[str]:
    """The pieces of lines that cross those drawn before."""
    others = [piece for line in before for piece in pairwise(line.points)]
    found: dict[str, None] = {}
    for line in lines:
        for (x0, y0), (x1, y1) in pairwise(line.points):
            for (u0, v0), (u1, v1) in others:
                level = y0 == y1
                if (
                    level
                    and u0 == u1
                    and min(x0, x1) < u0 < max(x0, x1)
                    and min(v0, v1) < y0 < max(v0, v1)
                ):
                    found[f"M{_n(u0 - _GAP)} {_n(y0)}H{_n(u0 + _GAP)}"] = None
                if (
                    not level
                    and v0 == v1
                    and min(y0, y1) < v0 < max(y0, y1)
                    and min(u0, u1) < x0 < max(u0, u1)
                ):
                    found[f"M{_n(x0)} {_n(v0 - _GAP)}V{_n(v0 + _GAP)}"] = None
    return iter(found)


def _ended(layout: Layout, line: Line) -> list[tuple[float, float]]:
    """The corners of a line with its stub outside the cell; what joins goes on with the others."""
    points = list(line.points)
    first, last = layout.boxes[line.edge.source].node, layout.boxes[line.edge.target].node
    (x0, y0), (x1, y1) = points[0], points[-1]
    starts = {"before": (x0 - STUB, y0), "input": (x0, y0 + STUB - CIRCLE)}
    ends = {
        "after": (x1 + STUB, y1),
        "output": (x1, y1 - STUB + CIRCLE),
        "join": (x1 + RADIUS, y1),
    }
    if first.kind in starts:
        points[0] = starts[first.kind]
    if last.kind == "join":
        points.append(ends["join"])
    elif last.kind in ends:
        points[-1] = ends[last.kind]
    return points


def _path(points: list[tuple[float, float]]) -> str:
    """A line through corners, rounded."""
    pieces = [f"M{_at(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        near, far = _towards(corner, before), _towards(corner, after)
        if _straight(before, corner, after):
            continue
        pieces.append(f"L{_at(near)}Q{_at(corner)} {_at(far)}")
    pieces.append(f"L{_at(points[-1])}")
    return "".join(pieces)


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The point on the way from a corner to its neighbour where the curve begins."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    far = abs(dx) + abs(dy)
    share = min(RADIUS, far / 2) / far if far else 0.0
    return corner[0] + dx * share, corner[1] + dy * share


def _straight(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return a[0] == b[0] == c[0] or a[1] == b[1] == c[1]


def _head(layout: Layout, line: Line) -> str:
    """The arrow at the end of a line; a line that joins another has none."""
    if layout.boxes[line.edge.target].node.kind == "join":
        return ""
    (x0, y0), (x1, y1) = _ended(layout, line)[-2:]
    return f'<path class="head" d="{_arrow(x0, y0, x1, y1)}"/>'


def _arrow(x0: float, y0: float, x1: float, y1: float) -> str:
    length = abs(x1 - x0) + abs(y1 - y0)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    back = x1 - dx * _HEAD, y1 - dy * _HEAD
    side = _HEAD * 0.55
    corners = [
        (x1, y1),
        (back[0] - dy * side, back[1] + dx * side),
        (back[0] + dy * side, back[1] - dx * side),
    ]
    return "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in corners) + "z"


def _sign(line: Line) -> Iterator[str]:
    """The mark of a subtracted value, or of a divisor, where its line ends."""
    if not line.edge.sign:
        return
    (x0, y0), (x1, y1) = line.points[-2:]
    length = abs(x1 - x0) + abs(y1 - y0)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    x, y = x1 - dx * 13 + abs(dy) * 9, y1 - dy * 13 - abs(dx) * 6
    mark = {"-": "−", "/": "÷"}[line.edge.sign]
    yield f'<text class="sign" x="{_n(x)}" y="{_n(y + (5 if dy else 0))}">{mark}</text>'


def _stubs(layout: Layout) -> Iterator[str]:
    """The ends of all lines outside a cell whose inside is not shown."""
    for box in layout.boxes.values():
        x, y = box.x, box.y
        ways = {
            "before": (x - STUB, y, x, y),
            "input": (x, y + STUB - CIRCLE, x, y),
            "after": (x, y, x + STUB, y),
            "output": (x, y, x, y - STUB + CIRCLE),
        }
        if box.node.kind in ways:
            x0, y0, x1, y1 = ways[box.node.kind]
            d = f"M{_n(x0)} {_n(y0)}L{_n(x1)} {_n(y1)}"
            head = f'<path class="head" d="{_arrow(x0, y0, x1, y1)}"/>'
            yield f'<g class="edge"><path d="{d}"/>{head}</g>'


def _node(layout: Layout, box: Box, step: int, last: bool) -> Iterator[str]:
    node = box.node
    kind = _KINDS.get(node.kind, node.kind)
    moment = f' data-time="{node.kind}"' if kind == "state" else ""
    value = f' data-value="{escape(node.value)}"' if node.value else ""
    group = {"input": "in", "output": "out", "gate": "gate", "join": "join"}.get(node.kind, "point")
    tip = f"<title>{escape(node.text)}</title>" if node.text else ""
    yield (
        f'<g class="node {group}" data-node="{escape(node.key)}" data-kind="{kind}"{value}{moment}>'
        f"{tip}{_shape(box, step, last)}</g>"
    )


def _shape(box: Box, step: int, last: bool) -> str:
    """What is seen of a node."""
    node, x, y = box.node, box.x, box.y
    if node.kind in ("input", "output"):
        y += STUB if node.kind == "input" else -STUB
        plain = node.value == "t"
        name = _name(node.value, "" if plain else time(step))
        small = ' style="font-size:13px"' if name_width(node.value) > 1.6 * CIRCLE else ""
        return (
            f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(CIRCLE)}"/>'
            f'<text x="{_n(x)}" y="{_n(y + 5)}"{small}>{name}</text>'
        )
    if node.kind in ("before", "after"):
        if node.kind == "after" and not last:
            return ""
        x += -STUB / 2 - 4 if node.kind == "before" else STUB / 2 + 4
        when = time(step - 1 if node.kind == "before" else step)
        return f'<text x="{_n(x)}" y="{_n(y - 8)}">{_name(node.value, when)}</text>'
    if node.kind == "join":
        return ""
    w, h = box.half_width, box.half_height
    round_ = 5.0 if node.kind == "gate" else h
    text = _label(node.label)
    return (
        f'<rect x="{_n(x - w)}" y="{_n(y - h)}" width="{_n(2 * w)}" height="{_n(2 * h)}" '
        f'rx="{_n(round_)}"/><text x="{_n(x)}" y="{_n(y + 5.5)}">{text}</text>'
    )


def _label(label: str) -> str:
    if label.startswith("weight:"):
        return _name(label.removeprefix("weight:"), "")
    return escape(label)


def _name(name: str, when: str) -> str:
    """A name in italics with its subscripts; a base of several letters is upright."""
    base, below = parts(name, when)
    slant = ' class="i"' if len(base) == 1 else ""
    sub = f'<tspan class="sub i" dy="{_n(0.22 * SIZE)}">{escape(below)}</tspan>' if below else ""
    return f"<tspan{slant}>{escape(base)}</tspan>{sub}"


def _n(value: float) -> str:
    """A coordinate, short."""
    return f"{round(value, 1):g}"


def _at(point: tuple[float, float]) -> str:
    return f"{_n(point[0])} {_n(point[1])}"

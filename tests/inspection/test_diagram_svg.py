"""The SVG text: well-formed, on its own, complete, within its view, and what pages rely on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree

import pytest

import recurra
from recurra import cells
from recurra.errors import CellError, UnknownNameError, UsageError
from recurra.graph import cell, tanh
from recurra.inspection import draw
from recurra.inspection.diagram.svg import svg_text
from support.drawn import placed

SVG = "{http://www.w3.org/2000/svg}"
ATTRIBUTES = {"before": "state", "after": "state"}


def parsed(name: str, steps: int = 1, interiors: str = "all") -> ElementTree.Element:
    return ElementTree.fromstring(svg_text(placed(name), steps, interiors))


def shift(group: ElementTree.Element) -> tuple[float, float]:
    x, y = re.findall(r"-?[\d.]+", group.get("transform", "0 0"))
    return float(x), float(y)


def points(root: ElementTree.Element) -> Iterator[tuple[float, float]]:
    """Every point of every line and shape, in the coordinates of the view."""
    for group in root.iter(f"{SVG}g"):
        if group.get("data-step") is None:
            continue
        dx, dy = shift(group)
        for item in group.iter():
            x, y = float(item.get("x", 0)), float(item.get("y", 0))
            yield x + dx, y + dy
            if item.tag == f"{SVG}rect":
                yield x + dx + float(item.get("width", 0)), y + dy + float(item.get("height", 0))
            if item.tag == f"{SVG}circle":
                cx, cy, r = (float(item.get(key, 0)) for key in ("cx", "cy", "r"))
                yield cx + dx - r, cy + dy - r
                yield cx + dx + r, cy + dy + r
            if item.tag == f"{SVG}path" and item.get("class") != "halo":
                numbers = [float(n) for n in re.findall(r"-?[\d.]+", item.get("d", ""))]
                for px, py in zip(numbers[::2], numbers[1::2], strict=True):
                    yield px + dx, py + dy


@pytest.mark.parametrize("name", cells.names())
def test_nothing_is_outside_the_view(name: str) -> None:
    root = parsed(name, 3, "middle")
    left, top, width, height = map(float, root.get("viewBox", "").split())
    assert (left, top) == (0.0, 0.0)
    found = list(points(root))
    assert len(found) > 20
    assert all(0 <= x <= width and 0 <= y <= height for x, y in found)


@pytest.mark.parametrize("name", cells.names())
def test_every_node_and_edge_is_drawn_once(name: str) -> None:
    layout, root = placed(name), parsed(name)
    nodes = Counter(g.get("data-node") for g in root.iter(f"{SVG}g") if g.get("data-node"))
    assert nodes == Counter(list(layout.diagram.nodes))
    edges = Counter(
        (g.get("data-from"), g.get("data-to")) for g in root.iter(f"{SVG}g") if g.get("data-from")
    )
    assert edges == Counter((e.source, e.target) for e in layout.diagram.edges)
    for group in root.iter(f"{SVG}g"):
        if group.get("data-node"):
            node = layout.diagram.nodes[group.get("data-node", "")]
            assert group.get("data-kind") == ATTRIBUTES.get(node.kind, node.kind)
            assert group.get("data-value", "") == node.value


@pytest.mark.parametrize("name", cells.names())
def test_every_named_value_has_its_name_on_the_picture(name: str) -> None:
    """Beside its line, or where the line ends outside the cell."""
    layout = placed(name)
    texts = Counter("".join(item.itertext()) for item in parsed(name).iter(f"{SVG}text"))
    for node in layout.diagram.nodes.values():
        if node.value and node.value != "t":
            assert texts[written(node.value, "t−1" if node.kind == "before" else "t")], node.key


def written(name: str, time: str) -> str:
    greek = {"tau": "τ", "phi": "φ"}
    base, *below = name.split("_")
    return greek.get(base, base) + ",".join([*below, time])


@pytest.mark.parametrize("name", cells.names())
def test_a_file_fetches_nothing_and_runs_nothing(name: str) -> None:
    text = svg_text(placed(name))
    assert text.count("http") == 1
    assert 'xmlns="http://www.w3.org/2000/svg"' in text
    assert not re.search(r"url\(|@import|@font-face|<script|<image|href", text)
    assert len(text) < 40_000


def test_what_a_page_relies_on() -> None:
    root = parsed("lstm")
    assert (root.get("class"), root.get("data-cell"), root.get("role")) == (
        "recurra-cell",
        "lstm",
        "img",
    )
    found = {g.get("data-node"): g for g in root.iter(f"{SVG}g") if g.get("data-node")}
    assert found["f"].get("data-kind") == "gate"
    assert found["f"].find(f"{SVG}title").text == (  # type: ignore[union-attr]
        "f[t] = sigmoid(W_f @ x[t] + U_f @ h[t-1] + b_f)"
    )
    assert (found["c"].get("data-kind"), found["c"].get("data-value")) == ("sum", "c")
    for time in ("before", "after"):
        state = found[f"{time}:c"]
        assert (state.get("data-kind"), state.get("data-value")) == ("state", "c")
        assert state.get("data-time") == time
    assert found["input:x"].get("data-value") == "x"
    rails = [g for g in root.iter(f"{SVG}g") if g.get("class") == "edge rail"]
    assert {(g.get("data-from"), g.get("data-to")) for g in rails} == {
        ("before:c", "product:1"),
        ("product:1", "c"),
        ("c", "after:c"),
    }


def test_a_screen_reader_hears_the_equations() -> None:
    root = parsed("gru", 3)
    title, description = root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")
    assert title == "The cell gru, 3 steps side by side"
    assert description is not None
    assert description.startswith(
        "Reads x; carries h to the next step; gives out h. r[t] = sigmoid("
    )


def test_a_chain_of_steps() -> None:
    root = parsed("lstm", 3)
    steps = [g for g in root.iter(f"{SVG}g") if g.get("data-step") is not None]
    assert [g.get("data-step") for g in steps] == ["-1", "0", "1"]
    lefts = [shift(g)[0] for g in steps]
    assert lefts[2] - lefts[1] == lefts[1] - lefts[0] > placed("lstm").width
    texts = [["".join(t.itertext()) for t in g.iter(f"{SVG}text")] for g in steps]
    assert {"ht−2", "ct−2", "xt−1", "ft−1"} <= set(texts[0])
    assert {"ht−1", "ct−1", "xt", "ft"} <= set(texts[1])
    assert {"ht", "ct", "xt+1", "ft+1", "ct+1"} <= set(texts[2])
    assert "ct" not in texts[1]  # stands once between two steps


def test_lines_end_in_arrows_unless_they_go_on() -> None:
    steps = [g for g in parsed("lstm", 2).iter(f"{SVG}g") if g.get("data-step") is not None]
    for step, last in zip(steps, (False, True), strict=True):
        for edge in step.iter(f"{SVG}g"):
            target = edge.get("data-to")
            if target:
                heads = [p for p in edge.iter(f"{SVG}path") if p.get("class") == "head"]
                goes_on = target == "join:1" or (target.startswith("after:") and not last)
                assert len(heads) == (not goes_on), target


def test_a_chain_with_its_middle_open() -> None:
    root = parsed("lstm", 3, "middle")
    steps = [g for g in root.iter(f"{SVG}g") if g.get("data-step") is not None]
    inside = [sum(g.get("data-kind") == "gate" for g in step.iter(f"{SVG}g")) for step in steps]
    assert inside == [0, 4, 0]
    assert sum(t.text == "lstm" for t in root.iter(f"{SVG}text")) == 2


def test_themes() -> None:
    light, dark, auto = (draw("elman", theme=theme) for theme in ("light", "dark", "auto"))
    assert "prefers-color-scheme:dark" in auto
    assert "prefers-color-scheme" not in light + dark
    assert light != dark
    paper = re.compile(r"--paper:(#\w+)")
    assert paper.findall(auto) == paper.findall(light) + paper.findall(dark)
    rules = auto.split("<style>")[1].split("</style>")[0]
    own = [rule for rule in re.findall(r"([^{}\n]+)\{", rules) if not rule.startswith("@media")]
    assert all(rule.startswith(".recurra-cell") for rule in own)


def test_refusals() -> None:
    with pytest.raises(UsageError, match="0 steps cannot be drawn side by side; give 1 to 99"):
        draw("lstm", unroll=0)
    with pytest.raises(UnknownNameError, match=r"unknown theme 'drak'. Did you mean 'dark'\?"):
        draw("lstm", theme="drak")
    with pytest.raises(UnknownNameError, match="unknown choice of interiors 'none'"):
        draw("lstm", interiors="none")
    with pytest.raises(CellError, match="a cell takes p, the inputs and the states"):
        draw(lambda x: x)


def test_what_can_be_drawn() -> None:
    @cell(state="h")
    def own(p, x, h):
        h = tanh(p.W_h @ x + p.U_h @ h)
        return h

    def plain(p, x, h):
        h = tanh(p.W_h @ x + p.U_h @ h)
        return h

    assert draw(own) == draw(own.graph)
    assert draw(plain).replace("plain", "own") == draw(own)
    assert "<text" in draw(cells.get("lstm"))


def test_the_same_text_in_every_process_and_no_torch() -> None:
    code = (
        "import sys; from recurra.inspection import draw; "
        "sys.stdout.write(draw('lstm_nested', 2, interiors='middle')); "
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            encoding="utf-8",
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {draw("lstm_nested", 2, interiors="middle")}


def test_the_room_lists_its_names() -> None:
    assert recurra.inspection.draw is draw
    assert "draw" in dir(recurra.inspection)
    with pytest.raises(AttributeError, match="no attribute 'drow'"):
        recurra.inspection.drow  # noqa: B018

"""Write docs/cells/: a page for every cell and an index, from the registry.

    python tools/cell_pages.py

Run it after a change of a cell. Measured speed is taken from docs/cells/speed.json if it is there:
{"lstm": "as fast as torch.nn.LSTM", ...}. Diagrams of cells that can be taken in at a glance are
written to docs/cells/diagrams.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from inspect import cleandoc
from pathlib import Path
from typing import Any

import torch

from recurra import cells
from recurra.backends import choose
from recurra.citations import LAYERS, sources
from recurra.graph import Cell, Expression, Graph, latex, text
from recurra.graph.facts import hoisted, is_linear, parameters_per_unit, stages
from recurra.graph.notation import equations
from recurra.graph.text import expression_text
from recurra.inspection.diagram import place
from recurra.inspection.diagram.svg import svg_text

HERE = Path(__file__).resolve().parent.parent / "docs" / "cells"
MOST_NODES = 13  # gates and pointwise operations of a diagram that can be taken in at a glance
NOTE = "<!-- Written by tools/cell_pages.py; change the cell, not this page. -->"


def pages(folder: Path = HERE) -> dict[str, str]:
    """The text of every file of docs/cells by its name."""
    file = folder / "speed.json"
    speed = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    found = [cells.get(name) for name in cells.names()]
    written = {"README.md": index(found)}
    for cell in found:
        layout = place(cell)
        drawn = sum(box.half_width > 0 for box in layout.boxes.values()) <= MOST_NODES
        written[f"{cell.name}.md"] = page(cell, speed.get(cell.name), drawn)
        if drawn:
            written[f"diagrams/{cell.name}.svg"] = svg_text(layout)
    return written


def index(found: Sequence[Cell]) -> str:
    rows = [
        (f"[{c.name}]({c.name}.md)", str(c.year or "-"), parameters_per_unit(c.graph), why(c))
        for c in found
    ]
    table_of_cells = table(("cell", "year", "weights per unit", "good for"), rows)
    return joined(
        NOTE,
        "# The cells",
        "Each page is written from the equations that run. I is the size of the input, H the "
        "number of units of a layer.",
        table_of_cells,
        "## Layers with a paper of their own",
        "They are in `recurra.nn`, run on the reference backend, and `recurra cite` knows them. "
        "Nearly any other cell runs over maps too (`ConvRecurrent`), and any on a memory that is "
        "looked at in each step (`AttentionDecoder`).",
        table(
            ("layer", "year", "cell", "runs over"),
            [
                (f"`{n}`", str(o.year), f"[{o.cell}]({o.cell}.md)", o.over)
                for n, o in LAYERS.items()
            ],
        ),
    )


def why(cell: Cell) -> str:
    return cell.purpose or cell.title


def page(cell: Cell, speed: str | None, drawn: bool) -> str:
    graph = cell.graph
    lead = f"`{cell.name}`" + (f", {cell.year}" if cell.year else "")
    return joined(
        NOTE,
        f"# {cell.title}",
        f"{lead}. {sentence(cell.purpose)}" if cell.purpose else f"{lead}.",
        f"![The cell as a diagram](diagrams/{cell.name}.svg)" if drawn else "",
        "## Equations",
        f"```math\n{latex(graph)}\n```",
        f"```text\n{text(graph)}\n```",
        shared(graph),
        about(cell),
        "## States",
        states(graph),
        "## Weights",
        weights(cell),
        "## A step",
        step(graph),
        "## How it runs",
        runs(graph),
        f"Measured speed: {speed or unmeasured(cell)}.",
        "## Cite",
        bibtex(cell),
    )


def shared(graph: Graph) -> str:
    """Which names are not the cell's own."""
    own = {name for name, _ in graph.named}
    parts = [f"`{name}`" for name, _ in equations(graph) if name not in own]
    if not parts:
        return ""
    if len(parts) == 1:
        return f"{parts[0]} is a part that the equations share; the cell has no name for it."
    names = f"{parts[0]} {'to' if len(parts) > 2 else 'and'} {parts[-1]}"
    return f"{names} are parts that the equations share; the cell has no names for them."


def about(cell: Cell) -> str:
    """What the file of the cell says after its first line: forms, choices, where sources differ."""
    whole = cleandoc(sys.modules[f"recurra.cells.{cell.name}"].__doc__ or "")
    source, _, rest = whole.partition("\n\n")
    return "\n\n".join(["## Source and form", " ".join(source.split()), *([rest] if rest else [])])


def states(graph: Graph) -> str:
    rows = [(f"`{s.attribute}`", size(graph.shape(s))) for s in graph.states]
    others = [str(i.attribute) for i in graph.inputs if i.attribute != "x"]
    reads = f" Beside x it reads {', '.join(map('`{}`'.format, others))}." if others else ""
    gives = graph.names.get(graph.output, graph.state_names[0])
    return joined(table(("state", "size"), rows), f"It gives out `{gives}`.{reads}").rstrip()


def weights(cell: Cell) -> str:
    graph = cell.graph
    rows = [
        (f"`{p.attribute}`", size(graph.shape(p)), wish(cell, str(p.attribute)))
        for p in graph.parameters
    ]
    rows += [(f"`{f.attribute}`", size(graph.shape(f)), "fixed") for f in graph.leaves("fixed")]
    total = f"{len(graph.parameters)} trained weights, {parameters_per_unit(graph)} for each unit."
    return joined(table(("weight", "shape", "initial value"), rows), total).rstrip()


def wish(cell: Cell, name: str) -> str:
    """The initial value of a weight: the last wish that matches, as layers read them."""
    value: Any = "uniform in ±1/√H"
    for pattern, wished in cell.init.items():
        if fnmatchcase(name, pattern):
            value = f"{wished:g}" if isinstance(wished, float | int) else wished
    return str(value)


def step(graph: Graph) -> str:
    """What a step waits for, and what leaves the loop over time."""
    names = {value: name for name, value in equations(graph)}
    lines = [
        f"{number}. {listed(graph, stage, names)}"
        for number, stage in enumerate(stages(graph), start=1)
    ]
    before = listed(graph, hoisted(graph), names)
    linear = "The new state is linear in the old one: a scan could run it.\n" * is_linear(graph)
    return joined(
        f"Before the loop over time, for all steps at once: {before}." if before else "",
        "In each step, stage by stage; a stage waits for all units of the one before:"
        if lines
        else "A step waits for nothing.",
        "\n".join(lines),
        linear,
    ).rstrip()


def listed(graph: Graph, nodes: Iterable[Expression], names: Mapping[Expression, str]) -> str:
    """Expressions of their named parts, in the order in which the equations name their weights."""
    order = {parameter: k for k, parameter in enumerate(graph.parameters)}
    ranked = sorted(nodes, key=lambda node: [order.get(arg, len(order)) for arg in node.args])
    texts = (
        expression_text(node, lambda part, own=node: None if part is own else names.get(part))
        for node in ranked
    )
    return ", ".join(f"`{text}`" for text in texts)


def runs(graph: Graph) -> str:
    choice = choose(graph, torch.device("cpu"), torch.float32)
    if choice.backend.name == "cpu":
        return "In fused kernels on a CPU; small calls and other devices on the reference backend."
    because = "; ".join(why for name, why in choice.refused if name == "cpu")
    return f"On the reference backend: {because}."


def unmeasured(cell: Cell) -> str:
    command = f"python benchmarks/run.py --tables cells --cell lstm,{cell.name}"
    return f"not measured yet; `{command}` does"


def bibtex(cell: Cell) -> str:
    if not cell.cite:
        return "The cell names no source yet."
    return "```bibtex\n" + "\n\n".join(sources(cell).values()) + "\n```"


def size(shape: Sequence[str]) -> str:
    return f"({', '.join(shape)}{',' if len(shape) == 1 else ''})" if shape else "one number"


def sentence(words: str) -> str:
    return words[:1].upper() + words[1:].rstrip(".") + "."


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def main() -> None:
    (HERE / "diagrams").mkdir(parents=True, exist_ok=True)
    written = pages()
    for old in (*HERE.glob("*.md"), *HERE.glob("diagrams/*")):
        if old.relative_to(HERE).as_posix() not in written:
            old.unlink()
    for name, words in written.items():
        (HERE / name).write_text(words, encoding="utf-8")
    print(f"{len(written)} files in {HERE}")


if __name__ == "__main__":
    main()

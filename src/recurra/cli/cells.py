"""`recurra cells` lists the cells; `recurra show CELL` prints the equations of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from recurra.cli.console import importing
from recurra.cli.help import Command
from recurra.cli.output import JSON, print_json, print_table
from recurra.errors import UnknownNameError

_CELLS_EXAMPLES = """
recurra cells
recurra cells --json
"""
_SHOW_EXAMPLES = """
recurra show lstm
recurra show gru --as latex
recurra show lstm_peephole --as graph
recurra show lstm --as llvm
recurra show lstm --json
"""


def add_to(app: typer.Typer) -> None:
    """Add both verbs."""
    app.command("cells", cls=Command, epilog=_CELLS_EXAMPLES)(_cells)
    app.command("show", cls=Command, epilog=_SHOW_EXAMPLES)(_show)


def _cells(as_json: JSON = False) -> None:
    """List the cells: name, year, weights for each unit, title.

    I is the size of the input and H the number of units of a layer. Below them stand the layers of
    recurra.nn that have a paper of their own, each with the cell whose equations it has.

    With --json: both lists, as "cells" and "layers".
    """
    from recurra import cells
    from recurra.citations import LAYERS

    rows = [_facts(cells.get(name)) for name in cells.names()]
    if as_json:
        layers_too = [
            {"name": name, "year": one.year, "cell": one.cell, "over": one.over, "cite": one.cite}
            for name, one in LAYERS.items()
        ]
        print_json({"cells": rows, "layers": layers_too})
    else:
        shown = ("name", "year", "parameters_per_unit", "title")
        titles = ("name", "year", "weights per unit", "title")
        print_table(titles, [[str(row[key] or "-") for key in shown] for row in rows])
        typer.echo()
        layers = [(name, str(one.year), one.cell, one.over) for name, one in LAYERS.items()]
        print_table(("layer", "year", "cell", "runs over"), layers)


def _facts(cell: Any) -> dict[str, Any]:
    from recurra.graph.facts import is_linear, parameters_per_unit

    return {
        "name": cell.name,
        "title": cell.title,
        "year": cell.year,
        "states": list(cell.graph.state_names),
        "parameters_per_unit": parameters_per_unit(cell.graph),
        "linear_in_the_state": is_linear(cell.graph),
        "citation": cell.citation,
        "purpose": cell.purpose,
        "cite": list(cell.cite),
        "init": dict(cell.init),
    }


def _show(
    name: Annotated[str, typer.Argument(metavar="CELL", help="A name that `recurra cells` lists.")],
    form: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="FORM",
            show_default="text",
            help="text: equations as typed; latex: an aligned block for a paper; "
            "graph: every operation with its shape and how often it is computed; "
            "llvm: the forward kernel for this processor, all sizes 64, with comments.",
        ),
    ] = "text",
    as_json: JSON = False,
) -> None:
    """Print the equations of a cell as they are run.

    With --json: its equations as text and LaTeX, states, weights with shapes, and facts, at once.
    """
    from recurra import cells, graph

    cell = cells.get(name)
    if as_json:
        print_json(_whole(cell))
        return
    forms = {"text": graph.text, "latex": graph.latex, "graph": graph.listing, "llvm": _llvm}
    if form not in forms:
        raise UnknownNameError("form of --as", form, forms)
    typer.echo(forms[form](cell.graph))


def _llvm(shown: Any) -> str:
    with importing():
        from recurra.backends.cpu.listing import listing

    return listing(shown)


def _whole(cell: Any) -> dict[str, Any]:
    """All that is known of a cell.

    A stage lists the products and reductions of a step that can be computed together.
    """
    from recurra import graph
    from recurra.graph.facts import stages

    shown = cell.graph
    sides = (line.partition(" = ") for line in graph.text(shown).splitlines())
    return {
        **_facts(cell),
        "equations": [[left.strip(), right] for left, _, right in sides],
        "latex": graph.latex(shown),
        "weights": {str(w.attribute): list(shown.shape(w)) for w in shown.parameters},
        "stages": [[_named(node, shown.names) for node in stage] for stage in stages(shown)],
    }


def _named(node: Any, names: Mapping[Any, str]) -> str:
    """An expression whose parts are written by their names."""
    from recurra.graph.text import expression_text

    return expression_text(node, lambda part: None if part is node else names.get(part))

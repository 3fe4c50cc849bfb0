"""`recurra draw CELL`: the cell as a diagram, an SVG file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from recurra.cli.help import Command
from recurra.cli.output import JSON, print_json, write_new

_EXAMPLES = """
recurra draw lstm -o lstm.svg
recurra draw gru --unroll 3 --interiors middle -o gru.svg
recurra draw mgu --theme dark > mgu.svg
recurra draw lstm --json
"""
_STDOUT = Path("-")

Out = Annotated[
    Path,
    typer.Option(
        "-o", "--out", metavar="FILE", show_default="-", help="The SVG file; - for stdout."
    ),
]
Unroll = Annotated[
    int,
    typer.Option(
        "--unroll", metavar="N", show_default="1", help="Steps side by side; t is the middle one."
    ),
]
Interiors = Annotated[
    str,
    typer.Option(
        metavar="WHICH", show_default="all", help="Steps whose inside is shown: all or middle."
    ),
]
Theme = Annotated[
    str,
    typer.Option(
        metavar="THEME", show_default="auto", help="light, dark, or auto: as the reader's screen."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("draw", cls=Command, epilog=_EXAMPLES)(_draw)


def _draw(
    name: Annotated[str, typer.Argument(metavar="CELL", help="A name that `recurra cells` lists.")],
    out: Out = _STDOUT,
    unroll: Unroll = 1,
    interiors: Interiors = "all",
    theme: Theme = "auto",
    overwrite: Overwrite = False,
    as_json: JSON = False,
) -> None:
    """Draw a cell from its equations: states as rails, gates, products and sums.

    The file is an SVG of its own: it fetches nothing, and its style is inside. With --json: nodes
    and lines with their places instead, and the file too where -o names one.
    """
    from recurra.inspection.diagram import draw, facts, place

    text = draw(name, unroll, interiors=interiors, theme=theme)
    if out != _STDOUT:
        write_new(out, text, overwrite)
    if as_json:
        file: dict[str, Any] = {"file": None if out == _STDOUT else str(out)}
        print_json(facts(place(name)) | file)
    elif out == _STDOUT:
        typer.echo(text, nl=False)

"""`recurra cite CELL`: the sources of a cell as BibTeX."""

from __future__ import annotations

from typing import Annotated

import typer

from recurra.cli.help import Command
from recurra.cli.output import JSON, print_json

_EXAMPLES = """
recurra cite lstm
recurra cite lstm >> thesis.bib
recurra cite gru --json
recurra cite ConvLSTM
"""


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("cite", cls=Command, epilog=_EXAMPLES)(_cite)


def _cite(
    name: Annotated[
        str, typer.Argument(metavar="CELL", help="A cell or a layer that `recurra cells` lists.")
    ],
    as_json: JSON = False,
) -> None:
    """Print the sources of a cell as BibTeX, the paper of its equations first.

    With --json: the entries by their keys.
    """
    from recurra.citations import sources

    found = sources(name)
    if as_json:
        print_json({"name": name, "sources": found})
    else:
        typer.echo("\n\n".join(found.values()))

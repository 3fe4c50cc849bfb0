"""`recurra eval RUN FILE`: how well a model predicts a text."""

from __future__ import annotations

import typer

from recurra.cli.arguments import Encoding, Run, Source
from recurra.cli.console import importing
from recurra.cli.help import Command
from recurra.cli.output import JSON, print_facts, print_json

_EXAMPLES = """
recurra eval runs/book other.txt
recurra eval runs/book other.txt --json
"""


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("eval", cls=Command, epilog=_EXAMPLES)(_evaluate)


def _evaluate(
    run: Run,
    source: Source,
    encoding: Encoding = None,
    as_json: JSON = False,
) -> None:
    """Measure how well a model predicts a text: bits per character, perplexity, accuracy."""
    with importing():
        from recurra.training.loading import load

    figures = load(run).evaluate(file=source, encoding=encoding)
    if as_json:
        print_json({"run": str(run), "source": source, **figures})
    else:
        print_facts(
            [
                ("bits per character", f"{figures['bits_per_char']:.4f}"),
                ("perplexity", f"{figures['perplexity']:.4f}"),
                ("accuracy", f"{figures['accuracy']:.2%}"),
            ]
        )

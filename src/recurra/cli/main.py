"""The command line: its verbs, and how an error becomes a message and an exit code.

Results go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 failed, 2 usage,
3 bad data, 4 diverged, 130 interrupted (training was saved first).
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from recurra.cli import cells, cite, console, draw, evaluate, generate, info, train
from recurra.cli.help import Group

_EXAMPLES = """
recurra train text book.txt -o runs/book --minutes 5
recurra generate runs/book --prompt "Once " --max-new 300
recurra eval runs/book other.txt
recurra show gru --as latex
recurra draw lstm -o lstm.svg

Results go to stdout, progress and messages to stderr. Exit codes: 0 done,
1 failed, 2 usage, 3 bad data, 4 diverged, 130 interrupted (training was saved).
"""

app = typer.Typer(
    cls=Group,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(train.app, name="train")
for verb in (generate, evaluate, cells, cite, draw, info):
    verb.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        from recurra import __version__

        typer.echo(f"recurra {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
) -> None:
    """Recurrent networks: train them, run them, and read their equations."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help(), err=True)
        raise typer.Exit(2)


def main(arguments: Sequence[str]) -> int:
    """Run one command line and give its exit code. No mistake of a user ends in a traceback."""
    with console.messages():
        try:
            code = _invoke(list(arguments))
            console.flush()
        except BaseException as error:
            return console.explain(error)
    return code


def run() -> None:
    """The program: run the command line of this process, and exit."""
    code = main(sys.argv[1:])
    console.close()
    # Or Python looks through all objects of PyTorch once more for garbage: half a second.
    gc.freeze()
    sys.exit(code)


def _invoke(arguments: list[str]) -> int:
    command = get_command(app)
    try:
        with command.make_context("recurra", arguments) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    return 0

"""`recurra search RUN FILE`: where in a text a unit is extreme, or the state like another one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recurra.cli.arguments import Encoding, Run, Source
from recurra.cli.console import importing
from recurra.cli.help import Command
from recurra.cli.output import JSON, print_json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from recurra.training.reading import Told
    from recurra.training.searching import Found, Hit

_EXAMPLES = """
recurra search runs/book book.txt --unit "recurrent.1.forward.c[17]"
recurra search runs/book book.txt --like "for example" --count 10
recurra search runs/book other.txt --unit "*.1.forward.f[3]" --json
"""

Unit = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Find where this unit is highest, and lowest."),
]
Like = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT", help="Find the states nearest (cosine) to that after TEXT's last character."
    ),
]
Of = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="The states that --like compares: unless given, the last layer's."
    ),
]
Count = Annotated[int, typer.Option(metavar="N", min=1, show_default="5", help="Places to find.")]
Context = Annotated[
    int,
    typer.Option(
        metavar="N", min=0, show_default="30", help="Characters on each side; none is shown twice."
    ),
]
Index = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Where the states are kept: unless given, RUN with .index behind it."
    ),
]
Dtype = Annotated[
    str,
    typer.Option(
        metavar="NAME", show_default="float16", help="States are kept as float16 or float32."
    ),
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("search", cls=Command, epilog=_EXAMPLES)(_search)


def _search(
    run: Run,
    source: Source,
    unit: Unit = None,
    like: Like = None,
    of: Of = None,
    count: Count = 5,
    context: Context = 30,
    index: Index = None,
    dtype: Dtype = "float16",
    encoding: Encoding = None,
    as_json: JSON = False,
) -> None:
    """Find places in a text by what a model thinks there.

    The model reads the text once and keeps its states on disk; the next search of the same value
    is quick. Positions count characters from 0, lines from 1.
    """
    with importing():
        from recurra.training.searching import search

    with _progress() as told:
        found = search(
            run,
            source,
            unit,
            like=like,
            of=of,
            count=count,
            context=context,
            index=index,
            dtype=dtype,
            encoding=encoding,
            told=told,
        )
    if as_json:
        print_json({"run": str(run), **asdict(found), "index": str(found.index)})
    else:
        _print(found)


@contextmanager
def _progress() -> Iterator[Told]:
    """A bar on stderr, if it is a terminal and there is much to read."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the text", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(found: Found) -> None:
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    what = (
        f"states like that after {found.like!r}, {found.address}" if found.like else found.address
    )
    place = f"{found.source} ({found.characters:,} characters)"
    console.print(f"{what}, in {place}", markup=False, emoji=False)
    titles = ("cosine", "") if found.like else ("highest", "lowest")
    for title, hits in zip(titles, (found.highest, found.lowest), strict=True):
        if hits:
            console.print()
            _print_hits(console, title, hits)
    console.print(f"\nstates: {found.index}", style="dim", markup=False, emoji=False)


def _print_hits(console: Console, title: str, hits: tuple[Hit, ...]) -> None:
    """One place a line; the characters that were found stand below each other."""
    from rich.text import Text

    values = [f"{hit.value:.4g}" for hit in hits]
    places = [f"{hit.position:,}" for hit in hits]
    lines = [f"{hit.line:,}" for hit in hits]
    widths = [max(map(len, column)) for column in ([title, *values], ["position", *places])]
    last = max(map(len, ["line", *lines]))
    heads = (title.rjust(widths[0]), "position".rjust(widths[1]), "line".rjust(last))
    console.print(Text("  ".join(heads), style="bold"))
    width = (console.width if console.is_terminal else 200) - sum(widths) - last - 6
    for hit, *cells in zip(hits, values, places, lines, strict=True):
        start = "  ".join(cell.rjust(w) for cell, w in zip(cells, (*widths, last), strict=True))
        longest = max(len(one.before) for one in hits)
        console.print(Text.assemble(start, "  ", _context(hit, longest, max(width, 15))))


def _context(hit: Hit, longest: int, width: int) -> Text:
    """The character between bars, its context cut to the width."""
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    from recurra.inspection.visible import visible

    before, after = visible(hit.before), visible(hit.after)
    left = min(longest, (width - 3) // 2)
    while cell_len(before) > left:
        before = before[1:]
    right = set_cell_size(after, max(0, width - left - 4)) if width < 190 else after
    text = Text(" " * (left - cell_len(before)) + before, style="")
    text.append("│", style="dim")
    text.append(visible(hit.character), style="bold reverse")
    text.append("│", style="dim")
    return text.append(right.rstrip())

"""`recurra inspect RUN`: what a model does inside while it reads a text."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recurra.cli.console import importing, say
from recurra.cli.help import Command
from recurra.cli.output import JSON, print_json
from recurra.errors import DataError, UsageError

if TYPE_CHECKING:
    from recurra.inspection.gradients import Gradient
    from recurra.inspection.terminal import Report
    from recurra.training.loading import LoadedText

_EXAMPLES = """
recurra inspect runs/book --text "Once upon a time"
recurra inspect runs/book --file chapter.txt --unit "recurrent.1.forward.c[17]"
recurra inspect runs/book --text "Once upon a time" --json
"""

Text = Annotated[str | None, typer.Option(metavar="TEXT", help="The text to read.")]
File = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Read a file, an http(s) address, or - for stdin."),
]
Unit = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Colour the text by this unit; unless given, by surprisal."
    ),
]
Most = Annotated[
    int,
    typer.Option(
        "--max", metavar="N", min=1, show_default="2000", help="Characters to read of the text."
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoding of the text: utf-8 unless it says another."),
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("inspect", cls=Command, epilog=_EXAMPLES)(_inspect)


def _inspect(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder of `recurra train`.")],
    text: Text = None,
    file: File = None,
    unit: Unit = None,
    most: Most = 2000,
    encoding: Encoding = None,
    as_json: JSON = False,
) -> None:
    """Look at what a model does inside while it reads a text.

    Printed are the text in colours, where the model was most surprised, and for each layer how its
    gates and states behave and how far gradients reach. A number stands for each colour where
    there are none: NO_COLOR, pipes.
    """
    with importing():
        from recurra.inspection.terminal import show
        from recurra.training.loading import load

    wanted = _text(text, file, encoding, most)
    report = _report(load(run), wanted, unit)
    if as_json:
        print_json({"run": str(run), **_as_json(report)})
    else:
        show(report)


def _text(text: str | None, file: str | None, encoding: str | None, most: int) -> str:
    """The text that was given, or the beginning of it.

    Raises:
        UsageError: none was given, or two.
        DataError: it is empty, or cannot be read.
    """
    from recurra.data.text import open_text

    if (text is None) == (file is None):
        raise UsageError("give either a text or a file to read: --text or --file.")
    if text is not None:
        found = text
    else:
        with open_text(str(file), encoding) as opened:
            found = "".join(
                islice((character for block in opened for character in block), most + 1)
            )
    if not found:
        raise DataError("the text is empty. Give a text.")
    if len(found) > most:
        say(f"the first {most:,} characters are read; --max takes more.")
    return found[:most]


def _report(loaded: LoadedText, text: str, unit: str | None) -> Report:
    """The recording of a text with its measures."""
    from recurra.inspection.terminal import Report
    from recurra.training.reading import record_text

    recording = record_text(loaded, text)
    return Report(recording, unit, _gradients(loaded, text))


def _gradients(loaded: LoadedText, text: str) -> dict[str, Gradient]:
    """Of the surprisal of the last character; none if there is only one, which nothing expected."""
    import torch

    from recurra.inspection.gradients import gradients_through_time

    if len(text) < 2:
        return {}
    tokens = torch.from_numpy(loaded.vocabulary.encode(text)).unsqueeze(1)
    return gradients_through_time(loaded.model, (tokens.to(loaded.device),))


def _as_json(report: Report) -> dict[str, Any]:
    """All numbers of a report."""
    from recurra.inspection.health import check_health
    from recurra.inspection.predictions import predictions
    from recurra.inspection.summary import summary
    from recurra.inspection.terminal import unit_values

    recording = report.recording
    health = report.health or check_health(recording)
    found = predictions(recording, report.row)
    items = [
        {"character": one.item, "bits": one.bits, "expected": [list(pair) for pair in one.top]}
        for one in found
    ]
    shown: dict[str, Any] = {
        "characters": len(found),
        "bits_per_char": math.fsum(one.bits for one in found[1:]) / max(1, len(found) - 1),
        "items": items,
    }
    if report.unit is not None:
        values, scale = unit_values(recording, report.unit, report.row)
        shown["unit"] = {"address": report.unit, "scale": scale.ends, "values": values}
    norms = {
        address: gradient.norms[:, report.row].tolist()
        for address, gradient in report.gradients.items()
    }
    return {**shown, **summary(health, report.gradients), "gradient_norms": norms}

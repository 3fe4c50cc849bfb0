"""`recurra inspect RUN`: what a model does inside while it reads a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from recurra.cli.arguments import Encoding, Run
from recurra.cli.console import importing, say
from recurra.cli.help import Command
from recurra.cli.output import JSON, check_new, print_json, write_new
from recurra.errors import DataError, RunError, UsageError

if TYPE_CHECKING:
    from recurra.inspection.findings import Finding
    from recurra.inspection.gradients import Gradient
    from recurra.inspection.recording import Recording
    from recurra.inspection.terminal import Report
    from recurra.training.loading import LoadedText

_EXAMPLES = """
recurra inspect runs/book --text "Once upon a time"
recurra inspect runs/book --file book.txt --unit "recurrent.0.forward.c[7]"
recurra inspect runs/book --text "Once" -o page.html --compare runs/gru
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

Out = Annotated[
    Path | None,
    typer.Option("-o", "--out", metavar="PAGE", help="Write one HTML page that needs no network."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace PAGE, if it is there.")]
Compare = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Show a second run beside it, on the page.")
]
CompareText = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Show a second text beside it, on the page.")
]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("inspect", cls=Command, epilog=_EXAMPLES)(_inspect)


def _inspect(
    run: Run,
    text: Text = None,
    file: File = None,
    unit: Unit = None,
    most: Most = 2000,
    encoding: Encoding = None,
    out: Out = None,
    overwrite: Overwrite = False,
    compare: Compare = None,
    compare_text: CompareText = None,
    as_json: JSON = False,
) -> None:
    """Look at what a model does inside while it reads a text.

    Printed are the text in colours, where the model was most surprised, and for each layer how its
    gates and states behave and how far gradients reach. A number stands for each colour where
    there are none: NO_COLOR, pipes. With -o: a page, on which every value of every step can be
    seen, alone or beside a second run or text.
    """
    _check(out, overwrite, compare, compare_text)
    with importing():
        from recurra.inspection.terminal import show
        from recurra.training.loading import load

    wanted = _text(text, file, encoding, most)
    loaded = load(run)
    if out is not None:
        seen = [_Seen.of(loaded, wanted)]
        if compare is not None or compare_text is not None:
            other = loaded if compare is None else load(compare)
            seen.append(_Seen.of(other, compare_text or wanted))
        write_new(out, _page((run.name, (compare or run).name), seen, unit), overwrite)
    if as_json:
        print_json({"run": str(run), **_as_json(_report(loaded, wanted, unit))})
    elif out is None:
        show(_report(loaded, wanted, unit))
    else:
        typer.echo(f"{out} ({out.stat().st_size:,} bytes): open it in a browser")


def _check(
    out: Path | None, overwrite: bool, compare: Path | None, compare_text: str | None
) -> None:
    """Refuse a page that cannot be written before anything is computed.

    Raises:
        UsageError: an option that needs a page without one.
        RunError: the page is there already, or there is no folder for it.
    """
    if out is None and (overwrite or compare is not None or compare_text is not None):
        raise UsageError("--overwrite and --compare are about a page. Name it with -o page.html.")
    if compare_text == "":
        raise UsageError("the second text is empty. Give one behind --compare-text.")
    if out is not None:
        check_new(out, overwrite)
        if not out.parent.is_dir():
            raise RunError(
                f"there is no folder {out.parent} for {out.name}. Make it, or name another."
            )


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

    return Report(loaded.record(text), unit, _gradients(loaded, text))


def _gradients(loaded: LoadedText, text: str) -> dict[str, Gradient]:
    """Of the surprisal of the last character; none if there is only one, which nothing expected."""
    from recurra.inspection.gradients import gradients_through_time

    if len(text) < 2:
        return {}
    return gradients_through_time(loaded.model, loaded.inputs(text))


class _Seen(NamedTuple):
    """A recording, and what all measures say of it."""

    recording: Recording
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, loaded: LoadedText, text: str) -> _Seen:
        from recurra.inspection.measuring import measure

        recording = loaded.record(text)
        return cls(recording, measure(recording, loaded.inputs(text)))


def _page(runs: tuple[str, str], seen: Sequence[_Seen], unit: str | None) -> str:
    """The page of a recording, or of two side by side."""
    from recurra.inspection.one_unit import one_unit
    from recurra.inspection.page import to_html

    first, second = seen[0], seen[1] if len(seen) > 1 else None
    units = () if unit is None else (one_unit(first.recording.values, unit)[1],)
    return to_html(
        first.recording,
        compare=None if second is None else second.recording,
        findings=first.findings,
        compare_findings=() if second is None else second.findings,
        titles=runs,
        title=f"Inside {runs[0]}",
        units=units,
    )


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

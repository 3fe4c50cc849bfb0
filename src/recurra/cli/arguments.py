"""Arguments that several verbs have, said in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder of `recurra train`.")]
Source = Annotated[
    str,
    typer.Argument(metavar="FILE", help="A text: a file, an http(s) address, or - for stdin."),
]
Encoding = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Encoding of the text: utf-8 unless it says another."),
]

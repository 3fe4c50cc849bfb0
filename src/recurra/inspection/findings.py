"""What a measure found: a sentence of verdict, its numbers, and curves over the steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

View = Literal["lines", "items", "matrix", "table"]
Cell = str | float | int
Level = Literal["good", "note", "warning"]


@dataclass(frozen=True, eq=False)
class Series:
    """One curve over the steps.

    Attributes:
        label: what it is, such as "dL/dc, rnn.0.forward"; it names the unit where it has one.
        values: (T,), one for each step; NaN where there is none.
    """

    label: str
    values: NDArray[np.floating] | Sequence[float]


@dataclass(frozen=True, eq=False)
class Finding:
    """What one measure found in a recording; nothing here knows how it was computed.

    Attributes:
        key: a short name, such as "saturation"; compared pages put equal keys side by side.
        title: of the section, such as "Saturated gates".
        verdict: one sentence: what the numbers mean here.
        definition: how the numbers are computed, and from which source.
        view: "lines" over the steps, "items" as bars under the words, "matrix" of output step by
            input step, or "table" alone.
        axis: what the numbers are, with their unit, such as "norm of dL/dh".
        log: whether a logarithmic axis shows them.
        columns: heads of the table.
        rows: of the table.
        series: curves; for "items" one bar under each item.
        matrix: (T, S) for "matrix".
        level: "good", "note" or "warning": how the verdict should be read.
        missing: why it was not computed; the page says so in the place of the numbers.
    """

    key: str
    title: str
    verdict: str = ""
    definition: str = ""
    view: View = "table"
    axis: str = ""
    log: bool = False
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Cell, ...], ...] = ()
    series: tuple[Series, ...] = ()
    matrix: NDArray[np.floating] | None = None
    level: Level = "note"
    missing: str = ""

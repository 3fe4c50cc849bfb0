"""The document of a page: one JSON value, built from recordings.

Version 1. All text is plain text; markup stands only in `equations` and `diagram`, which come from
the graph of the cell.

    version       1
    title         of the page
    made          which recurra wrote it
    runs          one run, or two that are compared

A run:

    title, row, first          `first` is the number of the first step that the page holds
    steps                      T
    sequence                   kind ("characters", "words", "numbers", "steps"), items (T),
                               channels (for numbers: lists of T), cut
    prediction                 see `sequence.prediction`; null without logits
    places                     see below, in the order of the run
    findings                   title, verdict, definition, view, axis, log, columns, rows, level,
                               missing, series [{label, values}], matrix (packed)
    left_out                   sentences

A place ("rnn.0.forward"):

    name, cell, reverse        `reverse`: the step before t is t + 1
    size                       H
    leading                    the unit that is chosen first: the most variable, if none was wished
    values                     each: name, symbol (HTML), address, size, op (of its equation,
                               "sigmoid" ...), state (whether it is one), low and high (ends of
                               its colours), within (share of the numbers between them; null
                               where low and high follow from the equation), units (their
                               numbers), array (packed; null for values before an activation that
                               are kept in `exact` alone), exact {units, array} or null, before
                               (numbers of `units` before the first step; null for zeros)
    equations                  see `equations.equation_rows`
    flows                      see `equations.flows`
    diagram                    SVG text, or ""

A packed array (`packing.pack`): bits, steps, units, data (base64 of zlib of planes of bytes, one
unit after another), and below 32 bits scales (base64 of zlib of float64: least number and step of
each unit).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import recurra
from recurra.inspection.findings import Finding
from recurra.inspection.page import equations
from recurra.inspection.page.diagrams import cell_diagram
from recurra.inspection.page.packing import colour_range, pack
from recurra.inspection.page.sequence import LONGEST, prediction, shown_items
from recurra.inspection.page.units import Budget, budget
from recurra.inspection.page.values import PlaceValues, place_values
from recurra.inspection.recording import Recording

VERSION = 1
MOST_STEPS = 5_000

Ranges = Mapping[tuple[str, str], tuple[float, float, float | None]]


@dataclass(frozen=True, eq=False)
class Shown:
    """One recording as a page shows it: which row, which steps, under which title."""

    recording: Recording
    findings: tuple[Finding, ...] = ()
    title: str = ""
    row: int = 0
    steps: slice | None = None
    units: tuple[int, ...] = ()

    def window(self) -> tuple[int, int, int]:
        """The first step shown, the one after the last, and the number of all steps."""
        first = next(iter(self.recording.values.values()))
        total = first.shape[0]
        if self.recording.lengths is not None:
            total = int(self.recording.lengths[self.row])
        start, stop, _ = (self.steps or slice(0, MOST_STEPS)).indices(total)
        return start, max(start, stop), total


def document(runs: Sequence[Shown], title: str, room: float) -> dict[str, Any]:
    """The document of a page, of at most about `room` bytes; see the module's text."""
    places = [place_values(run.recording, run.row, run.window()) for run in runs]
    everywhere = [place for run in places for place in run]
    heads = [_head(run) for run in runs]
    chosen = budget(
        [place.numbers() for place in everywhere],
        [place.steps * len(place.values) for place in everywhere],
        room - len(json.dumps(heads)),
    )
    ranges = _ranges(everywhere)
    return {
        "version": VERSION,
        "title": title,
        "made": f"recurra {recurra.__version__}",
        "runs": [
            head
            | {
                "places": [_place(place, chosen, run.units, ranges) for place in held],
                "left_out": _left_out(held, chosen, run.window(), head["sequence"]["cut"]),
            }
            for run, head, held in zip(runs, heads, places, strict=True)
        ],
    }


def _head(run: Shown) -> dict[str, Any]:
    """All of a run but its values."""
    start, stop, _ = run.window()
    recording = run.recording
    items = recording.items[run.row][start:stop] if recording.items else ()
    predicted = None
    if recording.logits is not None and recording.vocabulary and items:
        logits = recording.logits[start:stop, run.row]
        predicted = prediction(logits, recording.vocabulary, items, start)
    return {
        "title": run.title,
        "row": run.row,
        "first": start,
        "steps": stop - start,
        "sequence": shown_items(items, stop - start),
        "prediction": predicted,
        "findings": [_finding(finding, start, stop) for finding in run.findings],
    }


def _ranges(places: Sequence[PlaceValues]) -> Ranges:
    """The ends of the colours of every value: the same in both runs, so that they compare."""
    arrays: dict[tuple[str, str], list[Any]] = {}
    limits = {}
    for place in places:
        for name, array in place.values.items():
            arrays.setdefault((place.name, name), []).append(array.ravel())
            limits[place.name, name] = place.scale(name)[0]
    return {key: colour_range(np.concatenate(found), limits[key]) for key, found in arrays.items()}


def _place(
    place: PlaceValues, chosen: Budget, wished: Sequence[int], ranges: Ranges
) -> dict[str, Any]:
    kept = place.kept(chosen.share, wished)
    exact = place.most_variable(chosen.exact, wished) if chosen.exact else []
    return {
        "name": place.name,
        "cell": place.graph.name,
        "reverse": place.reverse,
        "size": place.size,
        "leading": place.most_variable(1, wished[:1])[0],
        "values": [
            _value(place, name, kept, exact, chosen, ranges[place.name, name])
            for name in place.values
        ],
        "equations": equations.equation_rows(place.graph),
        "flows": equations.flows(place.graph),
        "diagram": cell_diagram(place.graph),
    }


def _value(
    place: PlaceValues,
    name: str,
    kept: list[int],
    exact: list[int],
    chosen: Budget,
    ends: tuple[float, float, float | None],
) -> dict[str, Any]:
    array = place.values[name]
    low, high, within = ends
    here = [u for u in kept if u < array.shape[1]]
    exactly = [u for u in exact if u < array.shape[1]]
    only_exact = name.endswith("_pre") and chosen.bits != 32
    before = place.before.get(name)
    return {
        "name": name,
        "symbol": equations.symbol(name),
        "address": f"{place.name}.{name}",
        "size": array.shape[1],
        "op": place.scale(name)[1],
        "state": name in place.before,
        "low": low,
        "high": high,
        "within": within,
        "units": [] if only_exact else here,
        "array": None if only_exact else pack(array[:, here], chosen.bits),
        "exact": _exact(array, exactly),
        "before": None if before is None or not before.any() else _floats(before[here]),
    }


def _exact(array: Any, units: list[int]) -> dict[str, Any] | None:
    return {"units": units, "array": pack(array[:, units], 32)} if units else None


def _floats(values: Iterable[Any]) -> list[float | None]:
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in values]


def _finding(finding: Finding, start: int, stop: int) -> dict[str, Any]:
    matrix = finding.matrix
    if matrix is not None:
        matrix = np.asarray(matrix, dtype=np.float64)[start:stop, start:stop][:1000, :1000]
    return {
        **{key: getattr(finding, key) for key in ("key", "title", "verdict", "definition")},
        **{key: getattr(finding, key) for key in ("view", "axis", "log", "level", "missing")},
        "columns": list(finding.columns),
        "rows": [[_cell(cell) for cell in row] for row in finding.rows],
        "series": [
            {"label": one.label, "values": _floats(np.asarray(one.values)[start:stop])}
            for one in finding.series
        ],
        "matrix": None if matrix is None else _matrix(matrix),
    }


def _matrix(matrix: Any) -> dict[str, Any]:
    low, high, within = colour_range(matrix, None)
    return pack(matrix, 16) | {"low": low, "high": high, "within": within}


def _cell(cell: Any) -> str | float | None:
    if isinstance(cell, str):
        return cell
    return float(cell) if np.isfinite(cell) else str(float(cell))


def _left_out(
    places: Sequence[PlaceValues], chosen: Budget, window: tuple[int, int, int], cut: int
) -> list[str]:
    """What the page does not show of the recording, a sentence each."""
    start, stop, total = window
    said = []
    if stop - start < total:
        said.append(f"Steps {start:,} to {stop - 1:,} of {total:,} are here.")
    if chosen.share < 1:
        kept = [f"{len(p.kept(chosen.share, ())):,} of {p.size:,} in {p.name}" for p in places]
        said.append(f"Of the units, those are kept whose values vary most: {', '.join(kept)}.")
    if chosen.bits != 32:
        said.append(
            f"Values of all units are rounded to {chosen.bits} bits, marked ≈; those of "
            f"{chosen.exact} units of each layer (the most variable) are kept in full."
        )
        if any(name.endswith("_pre") for place in places for name in place.values):
            said.append("Values before an activation are kept for these units only.")
    said += [
        f"{', '.join(place.dropped)} of {place.name} is a matrix in each step; it is not shown."
        for place in places
        if place.dropped
    ]
    if cut:
        said.append(f"Items are cut after {LONGEST} characters: {cut:,} of them.")
    return said

"""A recording in the terminal: coloured text, tables of health, a curve for every gate."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from recurra.inspection.coloured import coloured
from recurra.inspection.gradients import Gradient
from recurra.inspection.health import Health, check_health
from recurra.inspection.one_unit import one_unit
from recurra.inspection.part_table import Look, part_table
from recurra.inspection.predictions import Prediction, predictions
from recurra.inspection.ranges import bounds, within
from recurra.inspection.recording import Recording
from recurra.inspection.scales import Scale, around_zero, from_zero_to_one, surprisal
from recurra.inspection.sparkline import sparkline
from recurra.inspection.verdicts import Level, verdicts
from recurra.inspection.visible import visible

_SIGNS: Mapping[Level, tuple[str, str, str]] = {
    "good": ("✓", "+", "green"),
    "note": ("·", "-", ""),
    "warning": ("!", "!", "bold red"),
}
_MOST_SURPRISING = 5
_BEFORE = 24  # characters shown in front of a surprising item
_ELSEWHERE = 100  # width where there is no terminal


@dataclass(frozen=True, eq=False)
class Report:
    """What is shown of one row of a recording.

    Attributes:
        recording: what was recorded.
        unit: address of the unit that colours the text; None: surprisal does.
        gradients: of `gradients_through_time`, by address of the state.
        row: which one.
        health: of the recording; measured if it is not given.
    """

    recording: Recording
    unit: str | None = None
    gradients: Mapping[str, Gradient] = field(default_factory=dict)
    row: int = 0
    health: Health | None = None

    def lines(self, look: Look) -> Iterator[Text]:
        """All of it, from top to bottom; a line of text may hold line ends."""
        recording, row = self.recording, self.row
        health = self.health or check_health(recording)
        found = predictions(recording, row)
        yield from _text(self, found, look)
        if len(found) > 1 and self.unit is None:
            yield from _surprising(found, look)
        for part, facts in recording.parts.items():
            yield Text()
            yield _title(f"{part}: {facts.cell}, {facts.sizes.get('H', '?')} units", look)
            yield from part_table(recording, part, health, self.gradients, row, look)
            yield from _radii(part, health, look)
        yield Text()
        yield from _verdicts(health, self.gradients, look)


def show(report: Report, console: Console | None = None) -> None:
    """Print a report: in colour on a terminal that has some, unless NO_COLOR is set.

    Elsewhere it has no codes and is 100 characters wide.
    """
    console = console or Console(file=sys.stdout, highlight=False)
    look = look_of(console)
    for line in report.lines(look):
        console.print(line, soft_wrap=True, markup=False, emoji=False, highlight=False)


def look_of(console: Console) -> Look:
    """How a report is drawn on a console."""
    terminal = console.is_terminal and not console.is_dumb_terminal
    colour = terminal and not console.no_color and console.color_system is not None
    width = console.width if console.is_terminal else _ELSEWHERE
    return Look(max(width, 20), colour, console.options.ascii_only)


def unit_values(recording: Recording, unit: str, row: int = 0) -> tuple[list[float], Scale]:
    """The values of one unit (see `one_unit`) at each step, and the scale of their colours.

    A gate has the scale 0 to 1, what cannot leave -1 to 1 has that; all else ends at the largest
    absolute value in this row.

    Raises:
        UnknownNameError: it was not recorded.
        UsageError: the address names several, or none.
    """
    address, chosen = one_unit(recording.values, unit)
    numbers = recording[address][recording.alive[:, row], row, chosen].tolist()
    called = f"{address}[{chosen}]"
    part, _, name = address.rpartition(".")
    graph = recording.parts[part].graph
    node = dict(graph.named).get(name)
    known = (-math.inf, math.inf) if node is None else bounds(graph)[node]
    if within(known, 0, 1):
        return numbers, from_zero_to_one(f"{called}, scale 0 to 1")
    if within(known, -1, 1):
        return numbers, around_zero(f"{called}, scale -1 to 1", 1.0)
    most = max((abs(number) for number in numbers if math.isfinite(number)), default=1.0)
    return numbers, around_zero(f"{called}, scale ±{most:.3g} (the largest here)", most)


def _text(report: Report, found: Sequence[Prediction], look: Look) -> Iterator[Text]:
    """The items coloured, and the scale."""
    recording = report.recording
    if report.unit is not None:
        numbers, scale = unit_values(recording, report.unit, report.row)
    elif found:
        numbers, scale = [one.bits for one in found], surprisal()
    else:
        return
    if recording.items:
        yield coloured(recording.items[report.row], numbers, scale, look.width, look.colour)
    else:
        low, high = scale.ends[0] or 0.0, scale.ends[1] or max(numbers)
        yield Text(sparkline(numbers, look.width, low, high, look.plain))
    yield Text()
    yield from scale.legend(look.width, look.colour)


def _surprising(found: Sequence[Prediction], look: Look) -> Iterator[Text]:
    """The items that cost most, and what was expected there."""
    ranked = sorted(found[1:], key=lambda one: -one.bits)[:_MOST_SURPRISING]
    bits = math.fsum(one.bits for one in found[1:]) / len(found[1:])
    yield Text()
    yield _title(f"{bits:.2f} bits each; most surprising:", look)
    bar = "|" if look.plain else "│"
    room = min(_BEFORE, max(4, look.width - 50))
    for one in ranked:
        before = "".join(visible(o.item) for o in found[max(0, one.step - room) : one.step])
        while cell_len(before) > room:
            before = before[1:]
        text = Text(f"  {one.bits:5.1f} bits  ", no_wrap=True, overflow="ignore")
        text.append(" " * (room - cell_len(before)) + before + bar)
        text.append(visible(one.item), "bold reverse" if look.colour else "")
        wanted = "  ".join(f"{_seen(item)} {share:.0%}" for item, share in one.top[:3])
        line = f"{bar}  expected  {wanted}"
        text.append(set_cell_size(line, max(0, look.width - text.cell_len)).rstrip())
        yield text


def _seen(item: str) -> str:
    return visible(item.replace(" ", "␣"))


def _radii(part: str, health: Health, look: Look) -> Iterator[Text]:
    """The spectral radius of each recurrent weight."""
    found = [
        f"{address.rpartition('.')[2]} {radius:.3g}"
        for address, radius in health.radii.items()
        if address.rpartition(".")[0] == part
    ]
    if found:
        yield from _wrapped("  spectral radius  ", "  ".join(found), look)


def _verdicts(health: Health, gradients: Mapping[str, Gradient], look: Look) -> Iterator[Text]:
    for verdict in verdicts(health, gradients):
        sign, plain, style = _SIGNS[verdict.level]
        for number, line in enumerate(_wrapped("  ", verdict.text, look)):
            if number == 0:
                shown = (plain if look.plain else sign, style if look.colour else "")
                line = Text.assemble(shown, line.plain[1:])
            yield line


def _wrapped(start: str, text: str, look: Look) -> list[Text]:
    """Lines that fit; those after the first begin below the end of `start`."""
    width = max(look.width, len(start) + 12)
    lines = textwrap.wrap(text, width, initial_indent=start, subsequent_indent=" " * len(start))
    return [Text(line) for line in lines]


def _title(text: str, look: Look) -> Text:
    return Text(text, "bold" if look.colour else "")

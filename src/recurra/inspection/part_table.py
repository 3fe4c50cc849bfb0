"""The table of one layer in the terminal: gates, states and gradients, a curve behind each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text
from torch import Tensor

from recurra.inspection.gradients import Gradient
from recurra.inspection.health import FULL, HIGH, LOW, Health
from recurra.inspection.recording import Recording
from recurra.inspection.sparkline import sparkline
from recurra.inspection.verdicts import in_steps

NARROW = 64  # below it there are no curves
_WIDTHS, _TIGHT = (10, 9, 9, 12, 8), (9, 7, 7, 10, 7)
_DECADES = 8  # of a gradient that a curve shows at most


@dataclass(frozen=True)
class Look:
    """How a report is drawn.

    Attributes:
        width: of a line, in cells of the terminal.
        colour: whether there are colours.
        plain: whether there is only ASCII.
    """

    width: int = 80
    colour: bool = True
    plain: bool = False


@dataclass(frozen=True)
class _Row:
    """A line of the table; a head has no curve, but says what the curves below it are."""

    cells: tuple[str, ...]
    curve: Sequence[float] = ()
    low: float = 0.0
    high: float = 1.0
    says: str = ""


def part_table(
    recording: Recording,
    part: str,
    health: Health,
    gradients: Mapping[str, Gradient],
    row: int,
    look: Look,
) -> Iterator[Text]:
    """The lines of a layer and direction; curves below each other have the same steps.

    Args:
        recording: what was recorded.
        part: such as "rnn.0.forward".
        health: of the recording.
        gradients: by address of the state.
        row: of the recording, whose curves are drawn; the numbers are of all rows.
        look: how it is drawn.
    """
    for group in (
        _gates(recording, part, health, row),
        _states(recording, part, health, row),
        _gradients(part, gradients, row),
    ):
        head, *rows = group
        if rows:
            yield _line(head, look)
            yield from (_line(one, look) for one in rows)


def _line(row: _Row, look: Look) -> Text:
    head = bool(row.says)
    widths = _WIDTHS if look.width >= NARROW else _TIGHT
    name, *cells = row.cells
    text = Text("  ", style="dim" if head and look.colour else "", no_wrap=True, overflow="ignore")
    text.append(name.ljust(widths[0]), "" if head or not look.colour else "bold")
    for cell, width in zip(cells, widths[1:], strict=False):
        text.append(cell.rjust(width))
    room = look.width - 2 - sum(widths) - 2
    if look.width >= NARROW:
        text.pad_right(2 + sum(widths) + 2 - len(text))
        curve = row.says if head else sparkline(row.curve, room, row.low, row.high, look.plain)
        text.append(curve[:room])
    text.rstrip()
    return text


def _gates(recording: Recording, part: str, health: Health, row: int) -> Iterator[_Row]:
    says = "mean of the units at each step, 0 to 1"
    yield _Row(("gate", f"< {LOW}", f"> {HIGH}", "mean"), says=says)
    for gate in health.gates:
        if _inside(gate.address, part):
            curve = _curve(recording, gate.address, row, lambda values: values.mean(-1))
            cells = (_share(gate.shut), _share(gate.open), f"{gate.mean:.2f}")
            yield _Row((_name(gate.address), *cells), curve)


def _states(recording: Recording, part: str, health: Health, row: int) -> Iterator[_Row]:
    lives = {life.address: life for life in health.half_lives}
    says = "root mean square at each step, 0 to most"
    yield _Row(("state", "dead", f"> {FULL}", "half-life", "most"), says=says)
    for units in health.units:
        if _inside(units.address, part):
            curve = _curve(
                recording, units.address, row, lambda values: values.square().mean(-1).sqrt()
            )
            most = max((value for value in curve if math.isfinite(value)), default=0.0)
            full = "" if units.full is None else _share(units.full)
            life = lives.get(units.address)
            cells = (str(len(units.dead)), full, in_steps(life.median) if life else "")
            yield _Row((_name(units.address), *cells, f"{most:.2g}"), curve, 0.0, most)


def _gradients(part: str, gradients: Mapping[str, Gradient], row: int) -> Iterator[_Row]:
    says = "norm at each step, logarithmic, least to most"
    yield _Row(("gradient", "factor", "least", "1/10 after", "most"), says=says)
    for address, gradient in gradients.items():
        if _inside(address, part):
            norms = gradient.norms[:, row].double().cpu().tolist()
            curve = [math.log10(norm) if 0 < norm < math.inf else math.nan for norm in norms]
            known = [number for number in curve if math.isfinite(number)]
            high = max(known, default=0.0)
            low = max(min(known, default=0.0), high - _DECADES)
            factor = "" if math.isnan(gradient.factor) else f"x {gradient.factor:.2f}"
            left = "" if gradient.tenth is None else in_steps(gradient.tenth)
            cells = (factor, f"{10**low:.0e}", left, f"{10**high:.0e}")
            yield _Row((_name(address), *cells), curve, low, high)


def _curve(
    recording: Recording, address: str, row: int, reduced: Callable[[Tensor], Tensor]
) -> list[float]:
    """One number for each step of the row, from the values (T, size) of it."""
    values = recording[address][:, row].detach().float().cpu().flatten(1)
    numbers: list[float] = reduced(values[recording.alive[:, row]]).tolist()
    return numbers


def _inside(address: str, part: str) -> bool:
    return address.rpartition(".")[0] == part


def _name(address: str) -> str:
    return address.rpartition(".")[2]


def _share(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 or share == 0 else f"{share:.1%}"

"""Text in which every item has the colour of a number; without colours, a sign below each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from recurra.inspection.scales import Scale
from recurra.inspection.visible import visible


def coloured(
    items: Sequence[str], numbers: Sequence[float], scale: Scale, width: int, colour: bool
) -> Text:
    """Items one after the other, in lines that fit.

    Args:
        items: characters or words; what cannot be shown is shown as a sign.
        numbers: one for each item; NaN: no colour.
        scale: of the numbers.
        width: of a line, in cells of the terminal.
        colour: whether there are colours; if not, the scale's signs stand in a line below.
    """
    lines = [_line(line, scale, colour) for line in _lines(items, numbers, width)]
    return Text("\n").join(lines)


def _lines(
    items: Sequence[str], numbers: Sequence[float], width: int
) -> Iterator[list[tuple[str, float]]]:
    """The items with their numbers, in lines: each ends with a line of the text, or is full."""
    line: list[tuple[str, float]] = []
    used = 0
    for item, number in zip(items, numbers, strict=True):
        shown = visible(item)
        if line and used + cell_len(shown) > width:
            yield line
            line, used = [], 0
        line.append((shown, number))
        used += cell_len(shown)
        if item.endswith("\n"):
            yield line
            line, used = [], 0
    if line:
        yield line


def _line(line: list[tuple[str, float]], scale: Scale, colour: bool) -> Text:
    text = Text(no_wrap=True, overflow="ignore", end="")
    for shown, number in line:
        text.append(shown, scale.style(number) if colour else "")
    if not colour:
        signs = "".join(scale.sign(number) + " " * (cell_len(item) - 1) for item, number in line)
        text.append("\n" + signs.rstrip())
    return text

"""Scales of colours with few steps, readable on dark and on light terminals, and without colour.

A step has a background of middle brightness and letters that stand out from it, so that it looks
alike on any terminal; the lowest step has neither. Steps differ in saturation, not in brightness.
"""

from __future__ import annotations

import math
import textwrap
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from rich.text import Text

_HEAT = (
    "",
    "#000000 on #b9a98a",
    "#000000 on #dca63e",
    "#000000 on #e8722a",
    "bold #ffffff on #c01f30",
)
_WARM = ("", "#000000 on #c2ad94", "#000000 on #dd9a4e", "bold #000000 on #e8722a")
_COLD = ("", "#000000 on #9db0c0", "#000000 on #5fa2d6", "bold #ffffff on #1f66b5")
_HEAT_SIGNS, _WARM_SIGNS, _COLD_SIGNS = "·1234", "·123", "·abc"


@dataclass(frozen=True)
class Scale:
    """Which colour a number has.

    Attributes:
        title: what the numbers are.
        bounds: where the second and all further steps begin.
        styles: of the steps, one more than the bounds.
        signs: of the steps where there is no colour.
        ends: the least and largest number; None: without end.
        digits: of a bound in the legend.
    """

    title: str
    bounds: tuple[float, ...]
    styles: tuple[str, ...]
    signs: str
    ends: tuple[float | None, float | None] = (None, None)

    def step(self, value: float) -> int:
        """The number of the step of a value; that of NaN is the one without colour."""
        return self.styles.index("") if math.isnan(value) else bisect_right(self.bounds, value)

    def style(self, value: float) -> str:
        """The style of a value, in rich's words."""
        return self.styles[self.step(value)]

    def sign(self, value: float) -> str:
        """One character for a value, where there is no colour; a space for NaN."""
        return " " if math.isnan(value) else self.signs[self.step(value)]

    def legend(self, width: int, colour: bool) -> Iterator[Text]:
        """The title and every step with its numbers, in lines that fit."""
        *above, last = textwrap.wrap(self.title, width)
        yield from map(Text, above)
        text = Text(last)
        gap = 2 if colour else 3
        for number, style in enumerate(self.styles):
            words = self._words(number)
            entry = f" {words} " if colour else f"{self.signs[number]} {words}"
            if len(text) + gap + len(entry) > width:
                yield text
                text = Text()
            text.append(" " * gap if text else "")
            text.append(entry, style if colour else "")
        yield text

    def _words(self, number: int) -> str:
        low = self.bounds[number - 1] if number else self.ends[0]
        high = self.bounds[number] if number < len(self.bounds) else self.ends[1]
        if low is None:
            return f"below {high:.3g}"
        return f"{low:.3g} and more" if high is None else f"{low:.3g} to {high:.3g}"


def surprisal() -> Scale:
    """Bits that an item costs: one of 4 bits was given a probability of 1/16.

    Shannon 1948; Hale 2001 for words and the name.
    """
    title = "surprisal, in bits"
    return Scale(title, (1.0, 2.0, 4.0, 6.0), _HEAT, _HEAT_SIGNS, (0.0, None))


def around_zero(title: str, most: float) -> Scale:
    """From -`most` to `most`, blue below zero and orange above."""
    most = most if math.isfinite(most) and most > 0 else 1.0
    shares = (-0.7, -0.4, -0.1, 0.1, 0.4, 0.7)
    styles = (*reversed(_COLD[1:]), "", *_WARM[1:])
    signs = _COLD_SIGNS[:0:-1] + "·" + _WARM_SIGNS[1:]
    return Scale(title, tuple(most * share for share in shares), styles, signs, (-most, most))


def from_zero_to_one(title: str) -> Scale:
    """From 0 to 1, in steps of a fifth."""
    return Scale(title, (0.2, 0.4, 0.6, 0.8), _HEAT, _HEAT_SIGNS, (0.0, 1.0))

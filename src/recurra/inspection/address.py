"""Addresses of values inside a model: `encoder.lstm.0.forward.f[17]`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from recurra.errors import UsageError

_UNITS = re.compile(r"^(?P<rest>[^\[\]]+)\[(?P<units>[0-9:,\s]*)\]$")
_NONE = "{!r} is no address; write it as 'rnn.0.forward.f', or 'f'."


@dataclass(frozen=True)
class Address:
    """Where a value is.

    Attributes:
        part: path of the module, layer and direction, such as "rnn.0.forward"; or a pattern of it.
        value: its name in the equations, or a pattern.
        units: numbers of units; None for all of them.
    """

    part: str
    value: str
    units: tuple[int, ...] | None = None

    def __str__(self) -> str:
        units = "" if self.units is None else f"[{','.join(map(str, self.units))}]"
        return f"{self.part}.{self.value}{units}"

    @classmethod
    def parse(cls, text: str, size: int | None = None) -> Address:
        """An address, or a pattern of addresses with the wildcards of a shell (`*`, `?`).

        Args:
            text: "rnn.0.forward.f", "*.f", or "f" for the f of every layer and direction; behind
                it units as "[17]", "[3:10]" (3 to 9) or "[1,5,7]".
            size: H, for ranges that are open at their end, such as "[3:]".

        Raises:
            UsageError: the units are none, or the address is no text.
        """
        units = None
        if not isinstance(text, str):
            raise UsageError(_NONE.format(text))
        if text.endswith("]") or "[" in text:
            found = _UNITS.match(text)
            if not found:
                raise UsageError(
                    f"{text!r} is no address; units are written as [17], [3:10], [1,5]."
                )
            text = found["rest"]
            units = _units(found["units"], size, text)
        part, _, value = text.rpartition(".")
        return cls(part or "*", value, units)

    def matches(self, part: str, value: str) -> bool:
        """Whether this pattern means a value of a part."""
        return fnmatchcase(f"{part}.{value}", f"{self.part}.{self.value}")


def parsed(names: str | Iterable[str] | None) -> list[Address] | None:
    """The patterns that were asked for, one or several; None for everything.

    Raises:
        UsageError: one of them is none.
    """
    if names is None:
        return None
    try:
        several = [names] if isinstance(names, str) else list(names)
    except TypeError:
        raise UsageError(_NONE.format(names)) from None
    return [Address.parse(name) for name in several]


def chosen(patterns: Iterable[Address] | None, part: str, values: Iterable[str]) -> tuple[str, ...]:
    """The values of a part that any of the patterns means, in their own order; None means all."""
    if patterns is None:
        return tuple(values)
    patterns = tuple(patterns)
    return tuple(name for name in values if any(one.matches(part, name) for one in patterns))


def _units(text: str, size: int | None, address: str) -> tuple[int, ...]:
    numbers: list[int] = []
    for item in text.split(","):
        low, colon, high = (one.strip() for one in item.partition(":"))
        if not colon and low.isdigit():
            numbers.append(int(low))
        elif colon and (low.isdigit() or not low) and (high.isdigit() or (not high and size)):
            numbers.extend(range(int(low or 0), int(high) if high else int(size or 0)))
        else:
            raise UsageError(
                f"[{text}] behind {address!r} names no units; write [17], [3:10] or [1,5,7]."
            )
    outside = [n for n in numbers if size is not None and n >= size]
    if outside or not numbers:
        which = f"unit {outside[0]} does not exist" if outside else "it names no unit"
        last = "" if size is None else f"; there are 0 to {size - 1}"
        raise UsageError(f"{address}[{text}]: {which}{last}.")
    return tuple(dict.fromkeys(numbers))

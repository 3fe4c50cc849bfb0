"""The one unit that an address or a pattern means."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from recurra.errors import UnknownNameError, UsageError
from recurra.inspection.address import Address


def one_value(values: Mapping[str, Tensor], given: str) -> str:
    """The address of the one value that an address or pattern means, whatever its units.

    Args:
        values: by address, (T, B, size).
        given: "rnn.1.forward.c[17]", or "*.1.*.c", or "c" where only one value is called so.

    Raises:
        UnknownNameError: there is no such value.
        UsageError: it means several, or one that is no vector.
    """
    wanted = Address.parse(given)
    found = [text for text in values if wanted.matches(*text.rsplit(".", 1))]
    if not found:
        raise UnknownNameError("value", given.partition("[")[0], values)
    if len(found) > 1:
        raise UsageError(f"{given!r} means several values: {', '.join(found)}. Name one of them.")
    if values[found[0]].dim() != 3:
        raise UsageError(f"{found[0]} is a matrix or a map for each step; only vectors have units.")
    return found[0]


def one_unit(values: Mapping[str, Tensor], given: str) -> tuple[str, int]:
    """The address of the one value, and the number of its unit; see `one_value`.

    Raises:
        UnknownNameError: there is no such value.
        UsageError: it means several values or units, or none.
    """
    address = one_value(values, given)
    size = values[address].shape[-1]
    units = Address.parse(given, size).units
    if units is None or len(units) != 1:
        example = f"{address}[{min(17, size - 1)}]"
        raise UsageError(f"{given!r} does not name one unit. Write it behind: {example}.")
    return address, units[0]

"""Options: frozen sets of values whose mistakes are written for the user."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from recurra.errors import UnknownNameError, UsageError


class Options(BaseModel):
    """Abstract: a frozen set of options.

    Raises:
        UnknownNameError: an option that does not exist; the text offers the nearest.
        UsageError: a value that is not possible.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _mistake(error, type(self)) from None


def _mistake(error: ValidationError, options: type[BaseModel]) -> UsageError:
    """The first mistake that pydantic found, in the words of this project."""
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return UnknownNameError("option", name, options.model_fields)
    wish = first["msg"].removeprefix("Input ").rstrip(".")
    return UsageError(f"option {name} cannot be {first['input']!r}: it {wish}.")

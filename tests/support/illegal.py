"""Cells that must be refused: each with what its error says, and the line that it names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from recurra.errors import CellError
from recurra.graph import cell


@dataclass(frozen=True)
class Illegal:
    """A cell function, the options it is made with, and what its error must say."""

    function: Callable[..., Any]
    options: dict[str, Any]
    message: str

    def __str__(self) -> str:
        return self.function.__name__

    def check(self) -> None:
        """The error has the message, and names the line marked "# here", or that of the def."""
        with pytest.raises(CellError, match=self.message) as caught:
            cell(**self.options)(self.function)
        assert type(caught.value) is CellError
        code = self.function.__code__
        lines, first = inspect.getsourcelines(self.function)
        marked = [first + k for k, line in enumerate(lines) if "# here" in line]
        at = f"cell {self}, {code.co_filename}:"
        assert str(caught.value).startswith(at)
        line = int(str(caught.value).removeprefix(at).split(":")[0])
        assert line == (marked or [code.co_firstlineno])[0]


def marker(kept: list[Illegal]) -> Callable[..., Any]:
    """A decorator that keeps illegal cells in a list."""

    def illegal(message: str, state: str = "h", **options: Any) -> Callable[..., Any]:
        def keep(function: Callable[..., Any]) -> Callable[..., Any]:
            kept.append(Illegal(function, {"state": state, **options}, message))
            return function

        return keep

    return illegal

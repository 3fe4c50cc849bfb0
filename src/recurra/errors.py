"""The mistakes a user can make, one class each: what was given, what is needed, what to do.

Every class carries the exit code with which the command line ends when it is raised.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RecurraError(Exception):
    """Anything recurra refuses to do. Its text is written for the user, without a traceback."""

    exit_code = 1


class UsageError(RecurraError):
    """An option, name or value that recurra does not know or cannot combine."""

    exit_code = 2


class CellError(UsageError):
    """A cell whose equations are not legal; the text names the line of the cell."""


class UnknownNameError(UsageError):
    """A name that is not in a list of known ones; the text offers the nearest, or what it means."""

    def __init__(self, what: str, given: str, known: Iterable[str], means: str = "") -> None:
        known = list(known)
        near = difflib.get_close_matches(given, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
        hint = f"Here it is {means}." if means else hint
        super().__init__(f"unknown {what} {given!r}. {hint}")


class ShapeError(UsageError, ValueError):
    """A tensor of another shape than the layer needs."""


class WeightsError(UsageError, ValueError):
    """Weights that do not belong to this layer, or cannot be given in another library's form."""


class DataError(RecurraError):
    """Data that cannot be read or is too small; nothing was written."""

    exit_code = 3


class RunError(RecurraError):
    """A run folder that is missing, exists already, or cannot be written."""


class CheckpointError(RunError):
    """A checkpoint that is corrupt, truncated or belongs to another configuration."""


class RecordingError(RecurraError):
    """A recording that is damaged, exists already, or cannot be written."""


class DivergedError(RecurraError):
    """The loss or its gradient became NaN or infinite; the last good checkpoint is kept."""

    exit_code = 4


class Interrupted(RecurraError):  # noqa: N818  (an event, not a fault)
    """A signal asked the training to stop; it was saved first."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number

"""What the library says once in its log: a step down from a fast way to a slow one."""

from __future__ import annotations

import logging

_LOG = logging.getLogger("recurra")
SAID: set[tuple[str, str]] = set()


def say_once(cell: str, subject: str, message: str) -> None:
    """Log a message the first time that its subject comes up for a cell."""
    if (cell, subject) not in SAID:
        SAID.add((cell, subject))
        _LOG.info("%s %s", cell, message)

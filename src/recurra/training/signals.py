"""SIGINT and SIGTERM: the step in progress is finished; an evaluation is broken off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_WATCHED = (signal.SIGINT, signal.SIGTERM)


class BrokenOff(BaseException):
    """Raised by a signal inside `Signals.breaking`; no `except Exception` may swallow it."""


class Signals:
    """The last signal that asked this process to stop, as `received` (0: none)."""

    def __init__(self) -> None:
        self.received = 0
        self._break = False

    @contextmanager
    def watched(self) -> Iterator[Signals]:
        """Note signals instead of dying from them. Outside the main thread nothing is watched."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._note) for number in _WATCHED}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def breaking(self) -> Iterator[None]:
        """Work that a signal ends at once, with `BrokenOff`; it has to be repeated later."""
        if self.received:
            raise BrokenOff
        self._break = True
        try:
            yield
        finally:
            self._break = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if self._break:
            self._break = False
            raise BrokenOff

"""The live bar of a terminal, drawn by rich; evaluations and samples scroll above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from recurra.training.progress import LineReporter

if TYPE_CHECKING:
    from recurra.training.session import Progress, Session


def is_live(stream: TextIO) -> bool:
    """Whether a bar can be redrawn in place here: a terminal that moves its cursor."""
    console = Console(file=stream)
    return console.is_terminal and not console.is_dumb_terminal


class LiveReporter(LineReporter):
    """Lines above a bar that shows the share done, the loss and the pace. NO_COLOR is heeded."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        columns = (BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        console = Console(file=stream, highlight=False)
        self._bar = Bar(*columns, console=console, transient=True, refresh_per_second=4)
        self._task = self._bar.add_task("")

    def started(self, session: Session) -> None:
        """Print the facts and show the bar."""
        super().started(session)
        self._bar.start()

    def stepped(self, progress: Progress) -> None:
        """Move the bar on."""
        self._pace.stepped()
        text = f"{self.place(progress)}  {self.loss(progress)}  {self._pace}"
        self._bar.update(self._task, description=text, completed=100 * self._share(progress))

    def say(self, text: str) -> None:
        """Write above the bar; what looks like markup of rich is text."""
        self._bar.console.print(text, markup=False, emoji=False)

    def closed(self) -> None:
        """Remove the bar."""
        self._bar.stop()

    def _share(self, progress: Progress) -> float:
        """How much is done of the nearest limit, from 0 to 1."""
        steps, minutes = self._session.steps, self._session.options.minutes
        by_steps = progress.step / steps if steps else 0.0
        by_time = progress.seconds / (60 * minutes) if minutes else 0.0
        return min(1.0, max(by_steps, by_time))

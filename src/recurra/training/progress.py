"""What training says while it runs: plain lines, or a live bar on a terminal, on stderr."""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from recurra.training.metrics import History, Record
    from recurra.training.session import Progress, Session

SECONDS_BETWEEN_LINES = 10.0


class Reporter:
    """Hears what happens; this one says nothing. Override what you want to hear."""

    def started(self, session: Session) -> None:
        """Training begins, or goes on after a resume."""

    def stepped(self, progress: Progress) -> None:
        """A step is finished. Called often: be quick."""

    def evaluated(self, record: Record, sample: str | None, best: bool) -> None:
        """The held-out part was measured; `best` if never before so well."""

    def inspected(self, record: Record) -> None:
        """The model was looked into."""

    def finished(self, history: History) -> None:
        """A limit was reached; all is saved."""

    def closed(self) -> None:
        """Training is over, be it by an error. Called once for every `started`."""


class LineReporter(Reporter):
    """Lines of text, for terminals, logs and files alike."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._said = 0.0

    def started(self, session: Session) -> None:
        """Print the facts of the task."""
        self._session = session
        self._pace = Pace(session)
        self._said = time.monotonic()
        for name, value in session.task.describe(session.plain_model):
            self.say(f"{name:<12} {value}")
        if session.progress.step:
            self.say(f"resumed      after step {session.progress.step}")

    def stepped(self, progress: Progress) -> None:
        """Print a line, if the last one was long ago."""
        self._pace.stepped()
        if time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self.say(f"{self.place(progress)}  {self.loss(progress)}  {self._pace}")

    def evaluated(self, record: Record, sample: str | None, best: bool) -> None:
        """Print the measure and the sample."""
        monitor = self._session.task.monitor
        place = self.place(self._session.progress)
        mark = "  best so far" if best else ""
        self.say(f"{place}  held out: {record[monitor]:.4f} {_words(monitor)}{mark}  {self._pace}")
        if sample is not None:
            self.say("".join(f"    | {line}\n" for line in sample.splitlines()).rstrip("\n"))
        self._pace = Pace(self._session)

    def inspected(self, record: Record) -> None:
        """Print what is not as it should be."""
        for verdict in record["verdicts"]:
            if verdict["level"] == "warning":
                self.say(f"{self.place(self._session.progress)}  inside: {verdict['text']}")

    def finished(self, history: History) -> None:
        """Print where the run is."""
        self.say(f"finished ({history.ended}): {history.run}")

    def say(self, text: str) -> None:
        """Write one or more lines."""
        self._said = time.monotonic()
        print(text, file=self._stream or sys.stderr, flush=True)

    def place(self, progress: Progress) -> str:
        """The step, the epoch and the time."""
        epoch = progress.step / self._session.steps_per_epoch
        minutes, seconds = divmod(int(progress.seconds), 60)
        return f"step {progress.step:>6}  epoch {epoch:6.2f}  {minutes:3}:{seconds:02}"

    def loss(self, progress: Progress) -> str:
        """The loss of the last step, in the unit of the held-out measure if that is bits."""
        if self._session.task.monitor == "bits_per_char":
            return f"training: {progress.loss / math.log(2):.4f} bits per char"
        return f"training: {progress.loss:.4f} loss"


class Pace:
    """Symbols per second since it was made, the time of evaluations left out."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._symbols = session.task.batch_size * session.options.seq_len
        self._steps = 0
        self._since = session.clock.seconds

    def stepped(self) -> None:
        """Count a step."""
        self._steps += 1

    def __str__(self) -> str:
        seconds = max(self._session.clock.seconds - self._since, 1e-9)
        return f"{self._steps * self._symbols / seconds:,.0f} {self.unit}/s"

    @property
    def unit(self) -> str:
        """What is counted."""
        return "characters" if self._session.task.monitor == "bits_per_char" else "steps of rows"


def reporter_for(stream: TextIO | None = None) -> Reporter:
    """A live bar if `stream` (stderr unless given) is a terminal, else plain lines."""
    from recurra.training.live import LiveReporter, is_live

    stream = stream or sys.stderr
    return LiveReporter(stream) if is_live(stream) else LineReporter(stream)


def _words(name: str) -> str:
    return name.replace("_", " ")

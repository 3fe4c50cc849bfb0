"""What is said besides results: errors, warnings; and what happens when nobody reads."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any, TextIO, cast

import typer

from recurra.errors import Interrupted, RecurraError

INTERRUPTED = 130

# Some versions of typer bring their own copy of click, others import it: both have this ancestor.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


@contextlib.contextmanager
def messages() -> Iterator[None]:
    """Write warnings as one line on stderr, and characters that stdout cannot show as "?"."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        yield


@contextlib.contextmanager
def importing() -> Iterator[None]:
    """Import large packages: quickly, and heeding a Ctrl-C only at the end.

    NumPy and PyTorch do not survive a Ctrl-C while they are imported.

    Raises:
        KeyboardInterrupt: one came.
    """
    with _without_collection():
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        received: list[int] = []
        before = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
    if received:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    """No search for garbage inside: an import makes many objects to look through, and keeps them.

    It takes a sixth of the time that `import torch` needs.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def say(text: str) -> None:
    """Write one line to stderr; a reader who has gone away is no error."""
    with contextlib.suppress(OSError, ValueError):
        print(f"recurra: {text}", file=sys.stderr, flush=True)


def flush() -> None:
    """Hand everything written so far to the reader.

    Raises:
        BrokenPipeError: the reader has gone away.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def close() -> None:
    """Keep the interpreter from complaining, at its end, about output that nobody reads."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            _discard(stream)


class _Undeterred(io.TextIOBase):
    """A stream that drops what it is given once its reader has gone away."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._stream.flush()


def undeterred(stream: TextIO) -> TextIO:
    """`stream` for work that goes on when nobody reads its progress any more."""
    return cast("TextIO", _Undeterred(stream))


def explain(error: BaseException) -> int:
    """Say on stderr what went wrong and give the exit code.

    Raises:
        BaseException: `error` itself, if it is a fault of recurra and no mistake of its user.
    """
    if isinstance(error, BrokenPipeError):
        return 0
    if isinstance(error, RecurraError):
        say(str(error) if isinstance(error, Interrupted) else f"error: {error}")
        return error.exit_code
    if isinstance(error, _UsageError):
        say(f"error: {_usage(error)}")
        return 2
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        say("interrupted")
        return INTERRUPTED
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        say(f"error: {place}{error.strerror or error}.")
        return 1
    if _is_out_of_memory(error):
        say("error: out of memory. Take a smaller --hidden, --batch-size or --seq-len.")
        return 1
    if _is_left_alone(error):
        say(f"process {os.environ.get('RANK')} ends because another one did.")
        return 1
    raise error


def _usage(error: Any) -> str:
    """The text of one of typer's own errors, with the nearest option and where to find help."""
    near = getattr(error, "possibilities", None)
    text = error.message if near else error.format_message()
    text = text.rstrip(".")
    text += "" if text.endswith("?") else "."
    if near:
        text += f" Did you mean {near[0]!r}?"
    if error.ctx is not None:
        text += f" See '{error.ctx.command_path} --help'."
    return text[:1].lower() + text[1:]


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; torch says so on the CPU with a plain RuntimeError."""
    text = str(error)
    signs = ("can't allocate memory", "not enough memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in text for sign in signs)
    )


def _is_left_alone(error: BaseException) -> bool:
    """Whether the other processes of this training are gone; they say why."""
    signs = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
    return (
        isinstance(error, RuntimeError)
        and os.environ.get("WORLD_SIZE", "1") != "1"
        and any(sign in str(error) for sign in signs)
    )


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    say(f"warning: {message}")


def _discard(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)

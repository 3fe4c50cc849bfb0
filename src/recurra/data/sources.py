"""Where a text comes from: a file, an http(s) address, or standard input, as a file to read."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO

from recurra.errors import DataError

STDIN = "-"
_SECONDS = 30.0


@dataclass(frozen=True)
class Source:
    """An open source: its bytes, which can be read again and again, and what is known of it."""

    name: str
    file: BinaryIO
    charset: str | None = None  # as the server said


@contextmanager
def open_source(source: str | os.PathLike[str]) -> Iterator[Source]:
    """Open a file, an address or standard input ("-"). What cannot be read twice is copied first.

    Raises:
        DataError: it is missing, a folder, not to be reached, or breaks off.
    """
    name = os.fspath(source)
    with ExitStack() as stack:
        if name.lower().startswith(("http://", "https://")):
            opened = _from_address(name, stack)
        else:
            try:
                opened = _from_stdin(stack) if name == STDIN else _from_file(name, stack)
            except OSError as error:
                raise DataError(f"cannot read {name!r}: {error.strerror}.") from None
        yield opened


def _from_file(name: str, stack: ExitStack) -> Source:
    try:
        file = stack.enter_context(open(name, "rb"))  # noqa: SIM115
    except FileNotFoundError:
        kinds = " Addresses begin with http:// or https://." if "://" in name else ""
        raise DataError(f"there is no file {name!r}. Check its name.{kinds}") from None
    except IsADirectoryError:
        raise DataError(f"{name!r} is a folder. Give a text file.") from None
    except ValueError:
        raise DataError(f"{name!r} is no name of a file.") from None
    # A pipe can be read only once.
    regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    return Source(name, file if regular else _copy(file, stack))


def _from_stdin(stack: ExitStack) -> Source:
    if sys.stdin is None:
        raise DataError("there is no standard input. Give a file.")
    return Source("standard input", _copy(sys.stdin.buffer, stack))


def _from_address(address: str, stack: ExitStack) -> Source:
    # Imported here: who reads no address does not wait for it.
    import http.client
    import urllib.error
    import urllib.request

    try:
        request = urllib.request.Request(address, headers={"User-Agent": "recurra"})
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            file = _copy(response, stack)
            if response.length:  # bytes that were announced and did not come
                raise DataError(f"{address} broke off {response.length:,} bytes early. Try again.")
            return Source(address, file, response.headers.get_content_charset())
    except urllib.error.HTTPError as error:
        with error:
            raise DataError(f"{address} answers {error.code} {error.reason}. Check it.") from None
    except urllib.error.URLError as error:
        raise DataError(f"cannot reach {address}: {error.reason}. Check it.") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DataError(f"cannot read {address}: {error}. Check it.") from None


def _copy(file: IO[bytes], stack: ExitStack) -> BinaryIO:
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    shutil.copyfileobj(file, copy, 2**20)
    return copy

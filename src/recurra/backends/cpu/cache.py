"""Machine code on disk: what one process compiled, the next one loads.

The environment variable RECURRA_CACHE names the folder; without it nothing is written. A file may
be deleted at any time. Its code runs in your process, so keep the folder to yourself.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_LOG = logging.getLogger("recurra")
_MAGIC = b"recurra kernel 1\n"  # the number goes up when the layout of a file changes
_ENDING = ".kernel"
_DIGEST = hashlib.sha256().digest_size
_said: set[Path] = set()


def folder() -> Path | None:
    """The folder that RECURRA_CACHE names; None where it is unset or empty."""
    name = os.environ.get("RECURRA_CACHE", "")
    return Path(name).expanduser() if name else None


def usage(place: Path) -> tuple[int, int]:
    """(kernels, bytes) in a folder."""
    sizes = []
    for path in place.glob(f"*{_ENDING}"):
        with suppress(OSError):  # another process may have deleted it
            sizes.append(path.stat().st_size)
    return len(sizes), sum(sizes)


def fetch(identity: Iterable[str], make: Callable[[], bytes]) -> bytes:
    """The code that `identity` stands for, from disk if it is there and whole, else made.

    Args:
        identity: everything that decides what the code is: its source, the processor, the compiler.
        make: compiles it.
    """
    place = folder()
    if place is None:
        return make()
    key = _digest(*(part.encode() for part in identity))
    path = place / (key.hex() + _ENDING)
    code = _read(path, key)
    if code is None:
        code = make()
        _write(path, _MAGIC + key + _digest(key, code) + code)
    return code


def _digest(*parts: bytes) -> bytes:
    """SHA-256 of parts, each with its length, so that no two lists of parts are alike."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little") + part)
    return total.digest()


def _read(path: Path, key: bytes) -> bytes | None:
    """The code in a file; None if it is missing, damaged, or not ours."""
    try:
        if not path.is_file() or not _is_ours(path):
            return None
        found = path.read_bytes()
    except OSError:
        return None
    head, code = found[: len(_MAGIC) + 2 * _DIGEST], found[len(_MAGIC) + 2 * _DIGEST :]
    if head == _MAGIC + key + _digest(key, code):
        return code
    _LOG.info("the kernel in %s is damaged; it is compiled again.", path)
    return None


def _is_ours(path: Path) -> bool:
    """Whether this user or the administrator wrote a file; Windows knows the rights of folders."""
    return not hasattr(os, "geteuid") or path.stat().st_uid in (0, os.geteuid())


def _write(path: Path, content: bytes) -> None:
    """Write a file at once; where that fails, nothing is kept, and that is said once."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(name, path)  # whoever reads sees the old file or the new one
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        if path.parent not in _said:
            _said.add(path.parent)
            _LOG.warning(
                "kernels are not kept in %s: %s. They are compiled in each process; let "
                "RECURRA_CACHE name a folder that can be written, or unset it.",
                path.parent,
                error,
            )

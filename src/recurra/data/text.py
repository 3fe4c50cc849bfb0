"""Reading text of any encoding that says what it is, in blocks, never whole."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager

from recurra.data.sources import Source, open_source
from recurra.errors import DataError, UnknownNameError

DEFAULT_ENCODING = "utf-8"
BLOCK = 2**20  # bytes read at a time

# The mark of UTF-32 begins with that of UTF-16, so it is tried first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_COMMON = (
    *(
        "utf-8",
        "utf-16",
        "utf-16-le",
        "utf-16-be",
        "utf-32",
        "latin-1",
        "iso-8859-1",
        "iso-8859-15",
    ),
    *("cp1250", "cp1251", "cp1252", "koi8-r", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr"),
)


class TextBlocks:
    """An open text. Each iteration reads it anew, as strings of about a million characters.

    Line ends stay as they are; a byte order mark is no part of the text.

    Args:
        source: the bytes.
        encoding: of a text without a byte order mark.

    Raises:
        DataError: the bytes are no text.
    """

    def __init__(self, source: Source, encoding: str) -> None:
        self.name = source.name
        self._file = source.file
        head = self._read(0)
        marks = (found for found in _MARKS if head.startswith(found[0]))
        mark, self.encoding = next(marks, (b"", encoding))
        self._start = len(mark)
        if b"\0" in head and not self.encoding.startswith(("utf-16", "utf-32")):
            raise DataError(
                f"{self.name} is no text: it has a zero byte at offset {head.index(0):,}. "
                "Give a text file; for UTF-16 without a byte order mark add --encoding utf-16-le."
            )

    def __iter__(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)()
        offset = self._start
        block = b"more"
        while block:
            block = self._read(offset)
            offset += len(block)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeError as error:
                raise self._undecodable(error, offset) from None
            if text:
                yield text

    def _read(self, offset: int) -> bytes:
        try:
            self._file.seek(offset)
            return self._file.read(BLOCK)
        except OSError as error:
            raise DataError(f"cannot read {self.name}: {error.strerror}.") from None

    def _undecodable(self, error: UnicodeError, offset: int) -> DataError:
        """The error for bytes of which the last one read is at `offset` - 1."""
        remedy = "Name the encoding of the text, such as --encoding latin-1 or --encoding utf-16."
        if not isinstance(error, UnicodeDecodeError):
            return DataError(f"{self.name} is not {self.encoding}: {error}. {remedy}")
        # The decoder's bytes end where ours end, but begin with some it kept from the block before.
        position = offset - len(error.object) + error.start
        shown = " ".join(f"{byte:02x}" for byte in error.object[error.start : error.end])
        return DataError(
            f"{self.name} is not {self.encoding}: byte {shown} at offset {position:,} "
            f"({error.reason}). {remedy}"
        )


def characters(count: int) -> str:
    """A number of characters in words.

    Example:
        >>> characters(1), characters(2000)
        ('1 character', '2,000 characters')
    """
    return f"{count:,} character" + ("" if count == 1 else "s")


@contextmanager
def open_text(source: str | os.PathLike[str], encoding: str | None = None) -> Iterator[TextBlocks]:
    """Open a text: a file, an http(s) address, or "-" for standard input.

    Args:
        source: where it is.
        encoding: unless a byte order mark says another; None: as the server says, else UTF-8.

    Raises:
        DataError: it cannot be read, or is no text.
        UnknownNameError: no such encoding.
    """
    if encoding is not None and not _is_known(encoding):
        raise UnknownNameError("encoding", encoding, _COMMON)
    with open_source(source) as opened:
        if encoding is None and opened.charset is not None and not _is_known(opened.charset):
            raise DataError(
                f"{opened.name} says that its encoding is {opened.charset!r}, which is not known "
                "here. Name it with --encoding."
            )
        chosen = encoding or opened.charset or DEFAULT_ENCODING
        yield TextBlocks(opened, codecs.lookup(chosen).name)


def _is_known(encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)
        "a".encode(encoding)  # refused by codecs that are no encodings of text, such as base64
    except (LookupError, ValueError):
        return False
    return True

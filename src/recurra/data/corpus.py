"""A text prepared for training: its vocabulary and its tokens, the end of it held out."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from recurra.data.text import open_text
from recurra.data.tokens import ArrayTokens, FileTokens, Part, Tokens
from recurra.data.vocabulary import Vocabulary, code_points, warn_of_unknown
from recurra.errors import CheckpointError, DataError, RunError, UsageError

TOKENS = "tokens.bin"
DEFAULT_SHARE = 0.1
_BLOCK = 2**20


@dataclass(frozen=True)
class TextCorpus:
    """A text as tokens, split by position.

    Attributes:
        vocabulary: of the training part, unless another was given.
        train: the tokens to learn from.
        validation: the tokens held out, those at the end.
        fingerprint: equal for equal tokens, vocabulary and split only.
        unknown: the characters of the text that are not in the vocabulary.

    Example:
        >>> corpus = TextCorpus.from_text("abcabcabcx")
        >>> corpus.vocabulary.symbols, len(corpus.train), corpus.unknown
        (('<unk>', 'a', 'b', 'c'), 9, ('x',))
    """

    vocabulary: Vocabulary
    train: Tokens
    validation: Tokens
    fingerprint: str
    unknown: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        source: str | os.PathLike[str],
        directory: str | os.PathLike[str] | None = None,
        encoding: str | None = None,
        validation_share: float = DEFAULT_SHARE,
        vocabulary: Vocabulary | None = None,
    ) -> TextCorpus:
        """Read a text in blocks, so that its size takes no memory.

        Args:
            source: a file, an http(s) address, or "-" for standard input.
            directory: the tokens are kept there, in `tokens.bin`; None: in a file that goes away.
            encoding: unless a byte order mark says another; None: as the server says, else UTF-8.
            validation_share: share of the text held out, 0 or more and below 1.
            vocabulary: of a trained model; a warning then names the characters it does not know.

        Raises:
            DataError: the text cannot be read, is no text, or is empty.
            RunError: the tokens cannot be written; what was there before is kept.
            UsageError: no such encoding, or another share.
        """
        with open_text(source, encoding) as text:
            survey = _Survey(text)
            if not survey.length:
                raise DataError(f"{text.name} is empty. Give a text.")
            split = _split(survey.length, validation_share)
            chosen = vocabulary or survey.vocabulary(split)
            digest = _digest(chosen, split)
            with _token_file(directory) as file:
                tokens = _encode(text, chosen, digest, file)
                if len(tokens) != survey.length:
                    raise DataError(f"{text.name} changed while it was read. Try again.")
        unknown = survey.unknown(chosen)
        if vocabulary:
            warn_of_unknown(unknown)
        return _corpus(chosen, tokens, split, digest.hexdigest(), unknown)

    @classmethod
    def open(
        cls,
        directory: str | os.PathLike[str],
        vocabulary: Vocabulary,
        validation_share: float = DEFAULT_SHARE,
    ) -> TextCorpus:
        """Open what `read` left in a directory, without the text itself.

        Raises:
            CheckpointError: it is missing, or was damaged.
        """
        path = Path(directory) / TOKENS
        try:
            with open(path, "rb") as file:
                tokens = FileTokens(file.fileno(), vocabulary.dtype)
                split = _split(len(tokens), validation_share)
                digest = _digest(vocabulary, split)
                while content := file.read(_BLOCK):
                    whole = len(content) % vocabulary.dtype.itemsize == 0
                    if not whole or np.frombuffer(content, vocabulary.dtype).max() >= len(
                        vocabulary
                    ):
                        raise _damaged(path)
                    digest.update(content)
        except OSError as error:
            raise CheckpointError(
                f"cannot read the prepared text {path}: {error.strerror}. Put back a copy of it, "
                "or train anew with --overwrite."
            ) from None
        if not len(tokens):
            raise _damaged(path)
        return _corpus(vocabulary, tokens, split, digest.hexdigest(), ())

    @classmethod
    def from_text(
        cls,
        text: str,
        validation_share: float = DEFAULT_SHARE,
        vocabulary: Vocabulary | None = None,
    ) -> TextCorpus:
        """A text that is in memory; otherwise as `read`.

        Raises:
            DataError: the text is empty.
            UsageError: another share than 0 or more and below 1.
        """
        if not text:
            raise DataError("the text is empty. Give a text.")
        split = _split(len(text), validation_share)
        chosen = vocabulary or Vocabulary.from_counts(text[:split])
        array = chosen.encode(text, chosen.dtype)
        digest = _digest(chosen, split)
        digest.update(array.tobytes())
        unknown = tuple(chosen.unknown(text))
        if vocabulary:
            warn_of_unknown(unknown)
        return _corpus(chosen, ArrayTokens(array), split, digest.hexdigest(), unknown)


class _Survey:
    """One reading of a text: its length, and where each character comes first."""

    def __init__(self, blocks: Iterable[str]) -> None:
        self.length = 0
        self._first: dict[str, int] = {}
        seen = np.zeros(sys.maxunicode + 1, np.bool_)
        for block in blocks:
            codes = code_points(block)
            new = np.flatnonzero(~seen[codes])
            if new.size:
                values, first = np.unique(codes[new], return_index=True)
                seen[values] = True
                places = new[first] + self.length
                self._first |= {chr(code): int(at) for code, at in zip(values, places, strict=True)}
            self.length += len(codes)

    def vocabulary(self, split: int) -> Vocabulary:
        """The characters before the split."""
        return Vocabulary.from_counts(c for c, place in self._first.items() if place < split)

    def unknown(self, vocabulary: Vocabulary) -> tuple[str, ...]:
        """The characters that are not in a vocabulary, as they come."""
        every = "".join(sorted(self._first, key=self._first.__getitem__))
        return tuple(vocabulary.unknown(every))


def _corpus(
    vocabulary: Vocabulary, tokens: Tokens, split: int, fingerprint: str, unknown: tuple[str, ...]
) -> TextCorpus:
    train, validation = Part(tokens, 0, split), Part(tokens, split, len(tokens))
    return TextCorpus(vocabulary, train, validation, fingerprint, unknown)


def _split(length: int, share: float) -> int:
    """The place of the first token that is held out."""
    if not 0 <= share < 1:
        raise UsageError(f"validation_share is {share}; give 0 or more and less than 1.")
    return length - int(length * share)


def _digest(vocabulary: Vocabulary, split: int) -> hashlib._Hash:
    """A digest to which the tokens are to be added: they mean nothing without the vocabulary."""
    return hashlib.sha256(f"{vocabulary.to_json()}\n{split}\n".encode())


@contextmanager
def _token_file(directory: str | os.PathLike[str] | None) -> Iterator[IO[bytes]]:
    """A new file for the tokens. It takes its name when the block ends, or vanishes if it fails."""
    if directory is None:
        with tempfile.TemporaryFile() as file:
            yield file
        return
    path = Path(directory) / TOKENS
    temporary = path.with_name(f".{TOKENS}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb+") as file:
            yield file
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _unwritable(error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _encode(
    text: Iterable[str], vocabulary: Vocabulary, digest: hashlib._Hash, file: IO[bytes]
) -> FileTokens:
    """Write the tokens of a text to a file and add them to a digest."""
    try:
        for block in text:
            content = vocabulary.encode(block, vocabulary.dtype).tobytes()
            digest.update(content)
            file.write(content)
        file.flush()
    except OSError as error:
        raise _unwritable(error) from error
    return FileTokens(file.fileno(), vocabulary.dtype)


def _unwritable(error: OSError) -> RunError:
    return RunError(
        f"cannot write the prepared text: {error.strerror}. "
        "Make room on the disk or correct its permissions, then try again."
    )


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is damaged. Put back a copy of it, or train anew with --overwrite."
    )

"""Vocabulary: the characters a model knows, and text as their numbers and back."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike, NDArray

from recurra.errors import CheckpointError, DataError

UNKNOWN = "<unk>"
_SHOWN = 20


class UnknownCharacterWarning(UserWarning):
    """A text has characters that the model never saw; each is read as `<unk>`."""


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of a model. A symbol's number is its place.

    Args:
        symbols: `<unk>`, which stands for every other character, then single characters in the
            order of their code points.

    Raises:
        DataError: the symbols are not of this form.

    Example:
        >>> vocabulary = Vocabulary.from_counts("hello")
        >>> vocabulary.symbols
        ('<unk>', 'e', 'h', 'l', 'o')
        >>> vocabulary.decode(vocabulary.encode("hole!"))
        'hole<unk>'
    """

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        characters = self.symbols[1:]
        if self.symbols[:1] != (UNKNOWN,) or not characters:
            raise DataError(f"a vocabulary holds {UNKNOWN} and then at least one character.")
        if any(len(character) != 1 for character in characters):
            raise DataError(f"the symbols of a vocabulary after {UNKNOWN} are single characters.")
        if any(a >= b for a, b in pairwise(characters)):
            raise DataError(
                "the characters of a vocabulary stand in the order of their code points."
            )

    @classmethod
    def from_counts(cls, characters: Iterable[str]) -> Vocabulary:
        """The vocabulary of some characters, such as a text or a `Counter` of its characters.

        Raises:
            DataError: there are none.
        """
        return cls((UNKNOWN, *sorted(set(characters))))

    @classmethod
    def from_json(cls, text: str) -> Vocabulary:
        """Read what `to_json` wrote.

        Raises:
            CheckpointError: it was damaged, or is something else.
        """
        try:
            symbols = json.loads(text)["symbols"]
            return cls(tuple(str(symbol) for symbol in symbols))
        except (ValueError, TypeError, KeyError, DataError, RecursionError) as error:
            raise CheckpointError(
                f"the vocabulary is damaged: {error}. Put back a copy of it, or train anew."
            ) from None

    def to_json(self) -> str:
        """All symbols as a JSON object, in ASCII."""
        return json.dumps({"symbols": self.symbols})

    @cached_property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """The smallest number format, little-endian, that holds every symbol's number."""
        return np.min_scalar_type(len(self.symbols) - 1).newbyteorder("<")

    @cached_property
    def _table(self) -> NDArray[np.unsignedinteger]:
        """The number of every code point; pages of it that no character touches take no memory."""
        table = np.zeros(sys.maxunicode + 1, self.dtype)
        table[[ord(character) for character in self.symbols[1:]]] = np.arange(1, len(self))
        return table

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str, dtype: DTypeLike = np.int64) -> NDArray[np.integer]:
        """The numbers of the characters, (len(text),); 0 for one that is not in the vocabulary."""
        return self._table[code_points(text)].astype(dtype, copy=False)

    def decode(self, indices: Iterable[int]) -> str:
        """The symbols with these numbers, joined.

        Raises:
            IndexError: there is no such symbol.
        """
        numbers = np.fromiter(indices, np.int64)
        if numbers.size and numbers.min() < 0:
            raise IndexError("the numbers of symbols are not negative")
        return "".join([self.symbols[number] for number in numbers])

    def unknown(self, text: str) -> list[str]:
        """The characters of a text that are not in the vocabulary, each once, as they come."""
        codes = code_points(text)
        values, first = np.unique(codes[self._table[codes] == 0], return_index=True)
        return [chr(code) for code in values[np.argsort(first)]]


def code_points(text: str) -> NDArray[np.uint32]:
    """The code points of the characters, (len(text),). Half surrogates count as characters."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def warn_of_unknown(characters: Iterable[str]) -> None:
    """Name characters that the model never saw, if there are any, in one warning."""
    names = [ascii(c) if c.isspace() or not c.isprintable() else f"'{c}'" for c in characters]
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        warnings.warn(
            f"never seen in training, so read as {UNKNOWN}: {' '.join(names[:_SHOWN])}{more}",
            UnknownCharacterWarning,
            stacklevel=3,
        )

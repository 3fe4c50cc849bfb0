"""Data: text from files, addresses and pipes, as tokens and then as batches of parallel streams."""

from recurra.data.corpus import TextCorpus
from recurra.data.streams import Streams
from recurra.data.text import characters, open_text
from recurra.data.tokens import ArrayTokens, FileTokens, Part, Tokens
from recurra.data.vocabulary import UnknownCharacterWarning, Vocabulary, warn_of_unknown

__all__ = [
    "ArrayTokens",
    "FileTokens",
    "Part",
    "Streams",
    "TextCorpus",
    "Tokens",
    "UnknownCharacterWarning",
    "Vocabulary",
    "characters",
    "open_text",
    "warn_of_unknown",
]

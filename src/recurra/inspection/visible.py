"""Characters as they can be shown: one visible sign each, whatever they do to a terminal."""

from __future__ import annotations

import unicodedata

_SIGNS = {"\n": "↵", "\t": "→", "\r": "␍", "\x7f": "␡", "\u00a0": "⍽", "\u2028": "↵", "\u2029": "↵"}
_HIDDEN = "�"


def visible(item: str) -> str:
    """An item with a sign for each character that has none, or that moves what stands beside it.

    Control characters become their pictures, marks stand on a circle, and what sets the direction
    of writing, is unassigned or half of a pair becomes a replacement sign.

    Example:
        >>> visible("a\\n\\x1b[0m")
        'a↵␛[0m'
    """
    return "".join(map(_sign, item))


def _sign(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    if character < " ":
        return chr(0x2400 + ord(character))
    kind = unicodedata.category(character)
    if kind[0] == "C" or kind in ("Zl", "Zp"):
        return _HIDDEN
    if kind in ("Mn", "Me"):
        return "◌" + character
    return character

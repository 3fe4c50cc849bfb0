"""Every character is one harmless sign."""

from __future__ import annotations

import sys

import pytest

from recurra.inspection.visible import visible


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a", "a"),
        ("\n\t\r", "↵→␍"),
        ("\x00\x1b\x7f", "␀␛␡"),
        ("\u202e\u2067\u200f\ufeff", "����"),  # directions of writing, a byte order mark
        ("\ud800", "�"),
        ("\u0301", "◌\u0301"),
        ("é漢🙂א", "é漢🙂א"),
        ("", ""),
    ],
)
def test_examples(given: str, shown: str) -> None:
    assert visible(given) == shown


def test_no_character_is_hidden_or_controls_a_terminal() -> None:
    for code in range(sys.maxunicode + 1):
        shown = visible(chr(code))
        assert shown.isprintable() or shown == " " or chr(code).isspace(), hex(code)
        assert "\x1b" not in shown
        assert "\n" not in shown

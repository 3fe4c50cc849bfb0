"""Vocabularies: their order, their numbers, and what is not in them."""

from __future__ import annotations

import doctest
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra.data import UnknownCharacterWarning, Vocabulary, vocabulary, warn_of_unknown
from recurra.errors import CheckpointError, DataError

TEXT = "hello\r\n\t\0é😀"


def test_examples_of_the_docstrings():
    assert doctest.testmod(vocabulary).failed == 0


def test_symbols_are_in_the_order_of_code_points_after_unknown():
    assert Vocabulary.from_counts({"b": 2, "a": 5}).symbols == ("<unk>", "a", "b")


@given(st.text(min_size=1))
def test_a_text_comes_back(text):
    own = Vocabulary.from_counts(text)
    codes = own.encode(text)
    assert codes.dtype == np.int64
    assert codes.tolist() == [own.symbols.index(character) for character in text]
    assert own.decode(codes) == text
    assert Vocabulary.from_json(own.to_json()) == own


def test_half_surrogates_come_back():
    text = "\ud83d\ude00\udcff"
    own = Vocabulary.from_counts(text)
    assert len(own) == 4
    assert own.decode(own.encode(text)) == text
    assert Vocabulary.from_json(own.to_json()) == own


def test_characters_that_are_not_in_it_become_unknown():
    own = Vocabulary.from_counts("abc")
    assert own.encode("xaby😀").tolist() == [0, 1, 2, 0, 0]
    assert own.unknown("xaby😀x") == ["x", "y", "😀"]
    assert own.unknown("") == []
    assert own.encode("").shape == (0,)
    assert own.decode([]) == ""
    assert own.decode(np.array([1, 0])) == "a<unk>"


@pytest.mark.parametrize("number", [-1, 4])
def test_a_number_without_a_symbol(number):
    with pytest.raises(IndexError):
        Vocabulary.from_counts("abc").decode([number])


@pytest.mark.parametrize(
    ("count", "dtype"), [(1, "<u1"), (255, "<u1"), (256, "<u2"), (65535, "<u2"), (65536, "<u4")]
)
def test_number_format_follows_the_size(count, dtype):
    own = Vocabulary.from_counts(chr(code) for code in range(0x10000, 0x10000 + count))
    assert own.dtype == np.dtype(dtype)
    assert own.encode(own.symbols[-1]).tolist() == [count]


@pytest.mark.parametrize(
    ("symbols", "words"),
    [
        ((), "at least one character"),
        (("<unk>",), "at least one character"),
        (("a", "b"), "holds <unk>"),
        (("<unk>", "a", "bc"), "single characters"),
        (("<unk>", "b", "a"), "order of their code points"),
        (("<unk>", "a", "a"), "order of their code points"),
    ],
)
def test_bad_symbols(symbols, words):
    with pytest.raises(DataError, match=words):
        Vocabulary(symbols)
    with pytest.raises(CheckpointError, match=f"damaged: .*{words}"):
        Vocabulary.from_json(json.dumps({"symbols": symbols}))


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"symbols": 3}', "[" * 100_000])
def test_damaged_json(text):
    with pytest.raises(CheckpointError, match="vocabulary is damaged"):
        Vocabulary.from_json(text)


def test_warning_names_the_characters():
    with pytest.warns(UnknownCharacterWarning) as caught:
        warn_of_unknown(["é", "\n", "😀", "'"])
    assert str(caught[0].message) == "never seen in training, so read as <unk>: 'é' '\\n' '😀' '''"
    warn_of_unknown([])


def test_warning_of_many_characters_is_short():
    with pytest.warns(UnknownCharacterWarning, match=r"'a' .* and 6 more$"):
        warn_of_unknown("abcdefghijklmnopqrstuvwxyz")

"""`recurra cite`."""

from __future__ import annotations

import json
from typing import Any

import pytest

import recurra
from recurra.citations import cite, entries, sources
from recurra.errors import UnknownNameError, UsageError
from recurra.graph import cell, tanh


def test_the_entries_of_the_lstm(call: Any) -> None:
    page = call("cite", "lstm")
    assert page.code == 0
    first, second, *_ = page.out.rstrip("\n").split("\n\n")
    assert first.startswith("@article{gers2000,\n")
    assert "title   = {Learning to Forget: Continual Prediction with {LSTM}}" in first
    assert first.endswith("\n}")
    assert second.startswith("@article{hochreiter1997,\n")
    assert page.out == recurra.cite("lstm") + "\n"


def test_as_json(call: Any) -> None:
    found = json.loads(call("cite", "lstm", "--json").out)
    assert found["name"] == "lstm"
    assert list(found["sources"])[:2] == ["gers2000", "hochreiter1997"]
    assert "\n\n".join(found["sources"].values()) == recurra.cite("lstm")


def test_an_unknown_cell(call: Any) -> None:
    ended = call("cite", "lsmt")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "recurra: error: unknown cell 'lsmt'. Did you mean 'lstm'?\n"


def own(p, x, h):
    h = tanh(p.W_h @ x + p.U_h @ h)
    return h


def test_a_cell_without_a_source() -> None:
    with pytest.raises(UsageError, match="cell own names no source"):
        cite(own)


def test_a_key_that_is_not_in_the_bibliography() -> None:
    wrong = cell(state="h", cite="gers2000, gers2001")(own)
    with pytest.raises(UnknownNameError, match=r"citation key of own 'gers2001'\. Did you mean"):
        sources(wrong)


def test_entries_of_a_file() -> None:
    text = "text @book{a, title = {A {B} C}, year = 1}\n@misc{ b ,\n x = {}\n}\nmore"
    assert entries(text) == {
        "a": "@book{a, title = {A {B} C}, year = 1}",
        "b": "@misc{ b ,\n x = {}\n}",
    }

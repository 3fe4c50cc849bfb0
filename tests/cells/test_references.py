"""The bibliography: every key that a cell cites is there once, complete, and cited by some cell."""

from __future__ import annotations

import re
import unicodedata
from importlib.resources import files

import pytest

from recurra import cells, nn
from recurra.citations import LAYERS, cite

BIB = files("recurra.cells").joinpath("references.bib").read_text(encoding="utf-8")
FIELD = re.compile(r"^  (\w+)\s*= \{(.*?)\}(?=,?\Z|,\n  \w+\s*= )", re.MULTILINE | re.DOTALL)
ENTRIES = {
    match[2]: (match[1], {name: " ".join(value.split()) for name, value in FIELD.findall(match[3])})
    for match in re.finditer(r"^@(\w+)\{(\S+),\n(.*?)\n\}$", BIB, re.MULTILINE | re.DOTALL)
}
CITED = {key for name in cells.names() for key in cells.get(name).cite}
CITED |= {key for layer in LAYERS.values() for key in layer.cite}


def test_every_key_is_there_once_and_cited() -> None:
    keys = re.findall(r"^@\w+\{([^,]+),$", BIB, re.MULTILINE)
    assert len(set(keys)) == len(keys) == len(ENTRIES)
    assert set(keys) == CITED


@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry_says_who_what_when_and_where(key: str) -> None:
    kind, fields = ENTRIES[key]
    assert {"author", "title", "year"} <= set(fields)
    assert re.fullmatch(r"(19|20)\d\d", fields["year"])
    assert {"doi", "eprint", "url", "volume", "institution", "howpublished"} & set(fields)
    if "eprint" in fields:
        assert fields["archiveprefix"] == "arXiv"
        assert re.fullmatch(r"\d{4}\.\d{4,5}", fields["eprint"])
    if "doi" in fields:
        assert re.fullmatch(r"10\.\d{4,}/\S+", fields["doi"])
    home = {"article": "journal", "inproceedings": "booktitle"}
    assert kind not in home or home[kind] in fields
    for value in fields.values():
        assert value.count("{") == value.count("}")


@pytest.mark.parametrize("name", [n for n in cells.names() if cells.get(n).cite])
def test_the_first_source_is_that_of_the_docstring(name: str) -> None:
    """The surname of its first author stands in the citation."""
    cell = cells.get(name)
    author = ENTRIES[cell.cite[0]][1]["author"].split(",")[0]
    plain = unicodedata.normalize("NFKD", cell.citation)
    letters = [re.sub(r"[^A-Za-z]", "", text) for text in (author, plain)]
    assert letters[0] in letters[1]


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_with_a_paper_of_its_own(name: str) -> None:
    layer = LAYERS[name]
    assert cite(name).count("@") == len(layer.cite)
    own = ENTRIES[layer.cite[0]][1]
    assert layer.cell in cells.names()
    assert int(own["year"]) == layer.year
    assert own["eprint"] in (getattr(nn, name).__doc__ or "")

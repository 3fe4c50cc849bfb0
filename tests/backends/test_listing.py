"""`recurra show CELL --as llvm`: IR that LLVM reads, with the names of the equations."""

from __future__ import annotations

import re

import llvmlite.binding as llvm
import pytest

from recurra import cells
from recurra.backends.cpu.listing import listing


@pytest.mark.parametrize("name", cells.names())
def test_llvm_reads_every_listing(name):
    text = listing(cells.get(name).graph)
    llvm.parse_assembly(text).verify()
    assert f"; {name}, forward" in text


def test_the_comments_name_the_equations():
    text = listing(cells.get("lstm").graph)
    assert re.search(r"; the loop over time.*\ntime:", text)
    assert re.search(r"; products of a tile, its number of rows: 1\nproducts_1:", text)
    assert re.search(r"; rows: at most \d, vectors of units: \d; sums of .*\ndefine", text)
    assert re.search(r"writes h, c\ndefine .*phase_0_64", text)
    for letter in "ifgo":
        assert f"U_{letter} @ h" in text
        assert re.search(rf"read_\d is W_{letter} @ x \+ b_{letter}$", text, re.MULTILINE)
    assert re.search(r"state_1 is the state c", text)


@pytest.mark.parametrize("name", ["lstm", "gru_reset_before"])
def test_values_carry_the_names_of_the_paper(name):
    graph = cells.get(name).graph
    text = listing(graph)
    for label, value in graph.named:
        if value.args:
            assert re.search(rf'^  %"{label}(\.\d+)?" = ', text, re.MULTILINE), label

"""A graph as text: what is read is what was written, in this process and in another."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest
from hypothesis import given, settings

from recurra import cells
from recurra.errors import UsageError
from recurra.graph import cell, tanh, text
from recurra.graph.rewrite import with_lengths, with_recurrent_dropout, with_reset, with_zoneout
from recurra.graph.serial import dumps, loads
from support.random_cells import random_cells


def assert_same(graph) -> None:
    again = loads(dumps(graph))
    for field in graph.__dataclass_fields__:
        assert getattr(again, field) == getattr(graph, field), field
    assert again.shapes == graph.shapes


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_with_every_option(name):
    graph = cells.get(name).graph
    assert_same(graph)
    graph = with_zoneout(with_recurrent_dropout(graph), graph.state_names)
    assert_same(with_lengths(with_reset(graph)))


@settings(max_examples=20)
@given(cell=random_cells())
def test_random_cells(cell):
    assert_same(cell.graph)


def test_numbers_keep_every_bit():
    @cell(state="h")
    def odd(p, x, h):
        h = tanh(p.W @ x + p.U @ h) * 0.1 + math.inf - 1 / 3
        return h

    again = loads(dumps(odd.graph))
    numbers = [node.attribute for node in again.leaves("constant")]
    assert sorted(map(str, numbers)) == ["0.1", str(1 / 3), "inf"]


def test_the_same_text_in_another_process():
    code = (
        "import sys; from recurra.graph.serial import dumps, loads; from recurra.graph import text;"
        "t = sys.stdin.read(); g = loads(t); assert dumps(g) == t; sys.stdout.write(text(g))"
    )
    graph = cells.get("lstm_peephole").graph
    found = subprocess.run(
        [sys.executable, "-c", code], input=dumps(graph), capture_output=True, text=True, check=True
    )
    assert found.stdout == text(graph)


@pytest.mark.parametrize("bad", ["", "[]", "{}", '{"format": 1, "nodes": [["add", [0, 1], null]]}'])
def test_what_is_no_graph_is_refused(bad):
    with pytest.raises(UsageError, match="no graph of recurra"):
        loads(bad)


def test_another_format_is_refused():
    content = json.loads(dumps(cells.get("gru").graph)) | {"format": 99}
    with pytest.raises(UsageError, match="format 99"):
        loads(json.dumps(content))

"""`recurra cells` and `recurra show`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recurra import cells, graph
from recurra.citations import LAYERS
from recurra.graph.facts import parameters_per_unit, stages


def test_the_table_has_a_line_for_every_cell(call: Any) -> None:
    page = call("cells")
    assert page.code == 0
    lines = [line for line in page.out.splitlines() if line and not line.startswith(" ")]
    starts = [line.split()[0] for line in lines]
    assert starts == ["name", *cells.names(), "layer", *LAYERS]
    assert max(map(len, page.out.splitlines())) <= 80
    lstm = next(line for line in page.out.splitlines() if line.startswith("lstm "))
    assert parameters_per_unit(cells.get("lstm").graph) in lstm


def test_the_table_as_json(call: Any) -> None:
    found = json.loads(call("cells", "--json").out)
    layers = {layer["name"]: (layer["cell"], layer["over"]) for layer in found["layers"]}
    assert layers == {name: (one.cell, one.over) for name, one in LAYERS.items()}
    rows = found["cells"]
    assert [row["name"] for row in rows] == list(cells.names())
    for row in rows:
        cell = cells.get(row["name"])
        assert (row["year"], row["title"]) == (cell.year, cell.title)
        assert row["states"] == list(cell.graph.state_names)
        assert row["parameters_per_unit"] == parameters_per_unit(cell.graph)
        assert (row["purpose"], row["cite"]) == (cell.purpose, list(cell.cite))
        assert row["init"] == dict(cell.init)


@pytest.mark.parametrize("name", cells.names())
def test_show_prints_the_three_forms(call: Any, name: str) -> None:
    shown = cells.get(name).graph
    assert call("show", name).out == graph.text(shown) + "\n"
    assert call("show", name, "--as", "text").out == graph.text(shown) + "\n"
    assert call("show", name, "--as", "latex").out == graph.latex(shown) + "\n"
    assert call("show", name, "--as", "graph").out == graph.listing(shown) + "\n"


@pytest.mark.parametrize("name", cells.names())
def test_show_as_json(call: Any, name: str) -> None:
    found = json.loads(call("show", name, "--json").out)
    cell = cells.get(name)
    shown = cell.graph
    assert (found["name"], found["year"], found["title"]) == (name, cell.year, cell.title)
    assert found["citation"] == cell.citation
    lines = [line.split(" = ") for line in graph.text(shown).splitlines()]
    assert found["equations"] == [[left.strip(), right] for left, right in lines]
    assert found["latex"] == graph.latex(shown)
    assert found["states"] == list(shown.state_names)
    assert set(found["weights"]) == {weight.attribute for weight in shown.parameters}
    assert found["parameters_per_unit"] == parameters_per_unit(shown)
    assert (found["purpose"], found["cite"]) == (cell.purpose, list(cell.cite))
    assert found["init"] == dict(cell.init)
    assert [len(stage) for stage in found["stages"]] == [len(stage) for stage in stages(shown)]


def test_show_as_json_by_hand(call: Any) -> None:
    found = json.loads(call("show", "elman", "--json").out)
    assert found["equations"] == [["h[t]", "tanh(W_h @ x[t] + U_h @ h[t-1] + b_h)"]]
    assert found["weights"] == {"W_h": ["H", "I"], "U_h": ["H", "H"], "b_h": ["H"]}
    assert found["stages"] == [["U_h @ h"]]


def test_what_a_cell_wishes_and_is_for_by_hand(call: Any) -> None:
    found = json.loads(call("show", "lstm", "--json").out)
    assert found["init"] == {"b_f": 1.0}
    assert found["cite"][:2] == ["gers2000", "hochreiter1997"]
    assert found["purpose"].startswith("the first choice for long sequences")


def test_show_of_an_unknown_cell_offers_the_nearest(call: Any) -> None:
    ended = call("show", "lsmt")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "recurra: error: unknown cell 'lsmt'. Did you mean 'lstm'?\n"


def test_show_in_an_unknown_form_offers_the_nearest(call: Any) -> None:
    ended = call("show", "lstm", "--as", "latx")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "recurra: error: unknown form of --as 'latx'. Did you mean 'latex'?\n"

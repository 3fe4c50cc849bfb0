"""The document of a page without a browser: packed numbers, budgets, equations, refusals."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import recurra.inspection.page as page
from recurra import cells
from recurra.errors import UsageError
from recurra.graph.operations import OPERATIONS
from recurra.inspection.page.bundle import script
from recurra.inspection.page.data import Shown, document
from recurra.inspection.page.equations import HTML, equation_rows, flows
from recurra.inspection.page.html import to_html
from recurra.inspection.page.packing import colour_range, pack
from support.recordings import recorded

STATIC = Path(page.__file__).parent / "static"


def unpacked(head):
    """The numbers of a packed array, read as its description says: (T, U), and half a step."""
    raw = np.frombuffer(zlib.decompress(base64.b64decode(head["data"])), np.uint8)
    width = head["bits"] // 8
    planes = raw.reshape(width, -1).T.copy()
    shape = head["units"], head["steps"]
    if head["bits"] == 32:
        return planes.view("<f4").reshape(shape).T, np.zeros(head["units"])
    codes = planes.view(f"<u{width}").reshape(shape).astype(float)
    low, step = np.frombuffer(
        zlib.decompress(base64.b64decode(head["scales"])), "<f8"
    ).reshape(-1, 2).T  # fmt: skip
    values = np.where(codes > 2 ** head["bits"] - 2, np.nan, low[:, None] + codes * step[:, None])
    return values.T, step / 2


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_packed_numbers_come_back_within_half_a_step(bits):
    values = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32)
    values[:, 2] *= 1000
    values[:, 3] = 5.0
    values[7, 4], values[9, 5] = np.nan, np.inf
    values[:, 6] = np.nan
    found, error = unpacked(pack(values, bits))
    finite = np.isfinite(values)
    assert np.array_equal(np.isfinite(found), finite)
    off = np.abs(np.where(finite, found, 0.0) - np.where(finite, values, 0.0)).max(axis=0)
    assert (off <= error * 1.0001 + 1e-6 * np.abs(np.nan_to_num(values)).max(axis=0)).all()
    assert bits == 32 or error[0] < 8 / 2**bits
    assert error[3] == 0


def test_colours_reach_over_the_bounds_or_over_what_was_recorded():
    values = np.concatenate([np.linspace(-1, 1, 999), [1000.0]])
    assert colour_range(values, (0.0, 1.0)) == (0.0, 1.0, None)
    low, high, within = colour_range(values, None)
    assert -low == high < 2
    assert within == pytest.approx(0.99, abs=0.002)
    assert colour_range(values[:-1], None) == (-1.0, 1.0, 1.0)
    assert colour_range(np.array([0.0, 2.0, 3.0]), None) == (0.0, 3.0, 1.0)


def test_two_runs_have_the_same_colours():
    one, two = recorded(steps=5), recorded(steps=5)
    two.values["rnn.0.forward.c"].mul_(7)
    runs = document([Shown(one), Shown(two)], "", 3e6)["runs"]
    c = [{v["name"]: v for v in run["places"][0]["values"]}["c"] for run in runs]
    assert c[0]["high"] == c[1]["high"] == pytest.approx(
        float(two["rnn.0.forward.c"].abs().max()), rel=1e-6
    )  # fmt: skip


def test_the_units_kept_are_the_most_variable_and_those_asked_for():
    recording = recorded(steps=200, units=64)
    recording.values["rnn.0.forward.h"][:, :, 10] *= 9
    place = document([Shown(recording, units=(3,))], "", 40_000)["runs"][0]["places"][0]
    kept = place["values"][0]["units"]
    assert {3, 10} <= set(kept)
    assert len(kept) < 64
    assert place["leading"] == 3
    for value in place["values"]:
        address = f"rnn.0.forward.{value['name']}"
        for held in filter(None, (value, value["exact"])):
            if held["array"] is not None:
                found, error = unpacked(held["array"])
                truth = recording[address][:, 0][:, held["units"]].numpy()
                assert (np.abs(found - truth) <= error + 1e-6).all()


def test_a_row_ends_where_its_length_says():
    recording = replace(recorded(steps=9, rows=2), lengths=torch.tensor([9, 4]))
    assert document([Shown(recording, row=1)], "", 1e6)["runs"][0]["steps"] == 4


def test_a_later_part_knows_the_state_before_it():
    recording = recorded(steps=9)
    run = document([Shown(recording, steps=slice(5, 8))], "", 1e6)["runs"][0]
    c = {v["name"]: v for v in run["places"][0]["values"]}["c"]
    assert (run["first"], run["steps"]) == (5, 3)
    truth = recording["rnn.0.forward.c"][4, 0].tolist()
    assert c["before"] == pytest.approx(truth, rel=1e-5)
    found, _ = unpacked(c["array"])
    assert found[0].tolist() == pytest.approx(recording["rnn.0.forward.c"][5, 0].tolist())


def test_every_operation_can_be_written():
    assert set(HTML.forms) == set(OPERATIONS)


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_has_its_equations(name):
    graph = cells.get(name).graph
    rows = equation_rows(graph)
    assert {row["name"] for row in rows} >= set(dict(graph.named)) - set(graph.state_names)
    for row in rows:
        for part in ("left", "symbols", "numbers"):
            tags = re.findall(r"</?(\w+)", row[part])
            assert len(tags) % 2 == 0
            assert set(tags) <= {"i", "sub", "sup", "span", "data", "b"}
    json.dumps(flows(graph))


def test_the_flows_of_an_lstm_are_its_gates():
    assert flows(cells.get("lstm").graph) == [
        {"kind": "memory", "state": "c", "keep": ["value", "f"],
         "write": ["multiply", ["value", "i"], ["value", "g"]]},
        {"kind": "output", "state": "h", "gate": "o"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"row": 3}, "row=3, but the recording has the rows 0 to 0"),
        ({"steps": slice(40, 50)}, "selects none of the 24 steps"),
        ({"max_mb": 0.1}, "Show fewer steps"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_the_reason(options, said):
    with pytest.raises(UsageError, match=said):
        to_html(recorded(), **options)


def test_a_recording_of_nothing_is_refused():
    with pytest.raises(UsageError, match="holds no values"):
        to_html(replace(recorded(), values={}))


def test_a_file_is_never_overwritten(tmp_path):
    path = tmp_path / "page.html"
    recording = recorded(steps=4)
    assert recording.to_html(path) == path.read_text(encoding="utf-8")
    with pytest.raises(FileExistsError):
        recording.to_html(path)
    assert recording._repr_html_().startswith("<iframe")


def test_the_script_is_whole_and_its_files_are_short():
    code = script()
    assert not re.search(r"^\s*(import|export)\b", code, re.MULTILINE)
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400
        assert path.suffix == ".css" or f"const {path.stem}_module = " in code
        assert text.startswith(("/**", "/*"))

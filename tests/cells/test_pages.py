"""The pages of docs/cells are those that the registry gives now."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest

from recurra import cells
from support.tools import loaded

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "cells"
REMEDY = "run `python tools/cell_pages.py`"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    return loaded("cell_pages")


@pytest.fixture(scope="module")
def written(tool: ModuleType) -> dict[str, str]:
    return tool.pages()


@pytest.fixture
def plain(tool: ModuleType, tmp_path: Path) -> dict[str, str]:
    """The pages where nothing is measured."""
    return tool.pages(tmp_path)


def test_there_is_a_page_for_every_cell_and_no_other(written: dict[str, str]) -> None:
    names = {f"{name}.md" for name in cells.names()} | {"README.md"}
    assert {name for name in written if name.endswith(".md")} == names
    assert {path.name for path in FOLDER.glob("*.md")} == names, REMEDY


@pytest.mark.parametrize("name", ["README", *cells.names()])
def test_a_page_is_up_to_date(written: dict[str, str], name: str) -> None:
    assert (FOLDER / f"{name}.md").read_text(encoding="utf-8") == written[f"{name}.md"], REMEDY


def test_the_diagrams_are_up_to_date(written: dict[str, str]) -> None:
    drawn = {name: text for name, text in written.items() if name.endswith(".svg")}
    files = {f"diagrams/{path.name}": path for path in (FOLDER / "diagrams").iterdir()}
    assert set(files) == set(drawn), REMEDY
    for name, text in drawn.items():
        assert files[name].read_text(encoding="utf-8") == text, REMEDY
        assert len(text) < 15_000


def test_the_diagrams_are_those_that_can_be_taken_in_at_a_glance(written: dict[str, str]) -> None:
    for name in ("elman", "lstm", "gru", "gru_reset_before", "mgu", "lstm_peephole", "mut1"):
        assert f"diagrams/{name}.svg" in written
        assert f"](diagrams/{name}.svg)" in written[f"{name}.md"]
    for name in ("ltc", "mlstm", "nas"):
        assert f"diagrams/{name}.svg" not in written
        assert ".svg" not in written[f"{name}.md"]


def test_a_page_by_hand(plain: dict[str, str]) -> None:
    page = plain["elman.md"]
    assert "# Simple recurrent network with tanh\n" in page
    assert r"h_{t} &= \tanh\left(W_{h} \, x_{t} + U_{h} \, h_{t-1} + b_{h}\right)" in page
    assert "h[t] = tanh(W_h @ x[t] + U_h @ h[t-1] + b_h)" in page
    assert "| `U_h` | (H, H) | uniform in ±1/√H |" in page
    assert "3 trained weights, I + H + 1 for each unit." in page
    assert "all steps at once: `W_h @ x`." in page
    assert "1. `U_h @ h`\n" in page
    assert "In fused kernels on a CPU" in page
    command = "python benchmarks/run.py --tables cells --cell lstm,elman"
    assert f"Measured speed: not measured yet; `{command}` does." in page


def test_wishes_sources_and_notes_by_hand(plain: dict[str, str]) -> None:
    page = plain["lstm.md"]
    assert "| `b_f` | (H,) | 1 |" in page
    assert "| `b_i` | (H,) | uniform in ±1/√H |" in page
    assert "@article{gers2000," in page
    assert "Without the gate: Hochreiter & Schmidhuber 1997." in page
    assert "| `u_o` | (H,) | 1 |" in plain["lstm_layernorm.md"]


def test_parts_without_a_name_by_hand(plain: dict[str, str]) -> None:
    assert (
        "`s1` is a part that the equations share; the cell has no name for it." in plain["cfc.md"]
    )
    assert "`s1` to `s21` are parts that" in plain["lstm_layernorm.md"]
    assert "parts that" not in plain["lstm.md"]


def test_speed_comes_from_a_file_beside_the_pages(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "speed.json").write_text(json.dumps({"gru": "faster than light"}))
    pages = tool.pages(tmp_path)
    assert "Measured speed: faster than light." in pages["gru.md"]
    assert "Measured speed: not measured yet" in pages["lstm.md"]


def test_measured_speeds_by_hand(tmp_path: Path) -> None:
    """In milliseconds; `gru` was measured in one use only, and `ran` in an earlier run."""
    found, target = tmp_path / "found.json", tmp_path / "speed.json"
    times = {
        "lstm": {"training": 20.0, "inference": 5.0},
        "elman": {"training": 6.0, "inference": 1.0},
        "nas": {"training": 30.0, "inference": 13.0},
        "gru": {"training": 16.0, "inference": None},
    }
    rows = [
        {"cell": cell, "use": use, "time": ms and {"median": ms / 1e3}}
        for cell, uses in times.items()
        for use, ms in uses.items()
    ]
    machine = {"threads": 2, "processor": "a processor", "instructions": "AVX2"}
    found.write_text(json.dumps({"machine": machine, "cells": rows}))
    target.write_text(json.dumps({"ran": "fast", "elman": "slow"}))
    loaded("cell_speed").main(found, target)
    where = "(T 50, B 30, I = H = 300, 2 threads of a processor, AVX2)"
    said = {
        "elman": "fast: training 6 ms, 0.30 of the LSTM's; inference 1 ms, 0.20",
        "lstm": "like the LSTM: training 20 ms, 1.00 of the LSTM's; inference 5 ms, 1.00",
        "nas": "slower than the LSTM: training 30 ms, 1.50 of the LSTM's; inference 13 ms, 2.60",
    }
    expected = {name: f"{words} of the LSTM's {where}" for name, words in said.items()}
    assert json.loads(target.read_text()) == {**expected, "ran": "fast"}

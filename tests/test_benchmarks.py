"""The benchmarks: the gate refuses what is wrong, and the JSON says what it promises."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from support.tools import loaded

pytestmark = pytest.mark.usefixtures("benchmarks")


@pytest.fixture
def small(benchmarks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that take no time, yet run in the fused kernels."""
    import products
    import shapes

    monkeypatch.setattr(products, "LARGE", 64)
    for name in shapes.SHAPES:
        steps, rows = (8, 1) if name.startswith("step") else (40, 8)
        monkeypatch.setitem(shapes.SHAPES, name, shapes.Shape(name, steps, rows, 5, 64))


def run(*arguments: str) -> int:
    import run

    return run.main([*arguments, "--rounds", "2", "--seconds", "0.01", "--threads", "1"])


def results(path: Path, *arguments: str) -> dict[str, Any]:
    assert run(*arguments, "--json", str(path)) == 0
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("cell", "shape", "use", "peers"),
    [
        ("lstm", "text", "training", {"recurra", "torch", "torch-bf16"}),
        ("gru", "text", "training", {"recurra", "torch", "torch-bf16"}),
        ("gru", "text", "ragged-training", {"recurra", "recurra-packed", "torch"}),
        ("lstm", "step-128", "step", {"recurra-call", "torch", "torch-cell"}),
        ("mgu", "text", "training", {"recurra"}),
    ],
)
def test_an_entry(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    cell: str,
    shape: str,
    use: str,
    peers: set[str],
) -> None:
    given = ["recurra-packed", "recurra-call", "torch", "torch-cell", "torch-bf16"]
    chosen = ["--cell", cell, "--shape", shape, "--use", use, "--peers", ",".join(given)]
    found = results(tmp_path / "found.json", *chosen)
    assert set(found) == {
        *("format", "command", "machine", "versions", "entries", "cells", "recurrence")
    }
    assert {"processor", "cores", "threads"} <= set(found["machine"])
    assert {"python", "recurra", "torch", "commit"} <= set(found["versions"])
    (entry,) = found["entries"]
    assert (entry["cell"], entry["shape"], entry["use"]) == (cell, shape, use)
    assert set(entry["sizes"]) == set("TBIH")
    rows = {row["peer"]: row for row in entry["rows"]}
    assert peers <= set(rows)
    for row in (rows[peer] for peer in peers):
        assert row["refused"] is None
        time = row["time"]
        assert 0 < time["least"] <= time["low"] <= time["median"] <= time["high"]
        assert time["rounds"] >= 2
        assert row["deviation"] <= (0.1 if row["peer"] == "torch-bf16" else 1e-4)
    if "recurra" in peers:
        assert rows["recurra"]["ratio"] == 1
        other = rows.get("torch", rows["recurra"])
        assert other["ratio"] == other["time"]["median"] / rows["recurra"]["time"]["median"]
        limit = entry["limit"]
        assert limit["ratio"] == limit["seconds"] / rows["recurra"]["time"]["median"] > 0
        assert f"(limit) {limit['ratio']:.2f} x {limit['what']}" in " ".join(printed(capsys))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("wrong", ["weight_ih_l0", "bias_hh_l0"])
def test_a_wrong_result_is_not_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    from peers import torch_layers

    right = torch_layers.fill

    def fill(layer: nn.Module, problem: Any, suffix: str) -> None:
        right(layer, problem, suffix)
        with torch.no_grad():
            layer.get_parameter(wrong)[0] += 0.1

    monkeypatch.setattr(torch_layers, "fill", fill)
    chosen = ["--cell", "gru", "--shape", "text", "--use", "inference", "--peers", "torch"]
    assert run(*chosen) == 1
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "  torch " in line)
    assert "REFUSED: output deviates by" in line
    assert "ms" not in line


@pytest.mark.usefixtures("small")
def test_a_missing_gradient_is_not_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from peers import torch_layers

    monkeypatch.setattr(torch_layers, "gradients", lambda layer, cell: {})
    chosen = ["--cell", "lstm", "--shape", "text", "--use", "training", "--peers", "torch"]
    assert run(*chosen) == 1
    assert "REFUSED: gives no d " in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_a_peer_that_fails_or_is_missing_costs_its_row_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import peers

    def fill(*arguments: Any) -> None:
        raise RuntimeError("out of order")

    monkeypatch.setattr("peers.torch_layers.fill", fill)
    absent = peers.Place("not_there", "Layer", ("training",))
    monkeypatch.setitem(peers.PEERS, "onnxruntime", absent)
    chosen = ["--cell", "lstm", "--shape", "text", "--use", "training"]
    assert run(*chosen, "--peers", "torch,onnxruntime") == 1
    printed = capsys.readouterr().out
    assert "REFUSED: fails: RuntimeError: out of order" in printed
    assert "left out: peers.not_there is not installed" in printed
    assert "1.00 x" in printed


@pytest.mark.parametrize("value", [1.01, np.nan, np.inf])
def test_the_gate(value: float) -> None:
    from gate import RefusedError, check

    expected = {"output": np.array([[1.0, -2.0]])}
    assert check({"output": np.array([[1.0, -2.0]])}, expected, 1e-3) == 0
    assert check({"output": np.array([[1.001, -2.0]])}, expected, 1e-3) == pytest.approx(5e-4)
    with pytest.raises(RefusedError, match="output deviates"):
        check({"output": np.array([[value, -2.0]])}, expected, 1e-3)
    with pytest.raises(RefusedError, match="shape"):
        check({"output": np.ones((2, 1))}, expected, 1e-3)


def test_products_are_counted_as_by_hand() -> None:
    from flops import products
    from recurra import cells

    sizes = {"I": 5, "H": 7, "P": 3}
    lstm, projection = cells.get("lstm").graph, cells.get("lstm_projection").graph
    assert products(lstm, sizes) == 2 * 4 * 7 * (5 + 7)
    assert products(lstm, sizes, recurrent=True) == 2 * 4 * 7 * 7
    assert products(projection, sizes) == 2 * (4 * 7 * (5 + 3) + 3 * 7)


def printed(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The words on the terminal, without times."""
    units = re.compile(r"\s[\d.]+ [mµ]s\s")
    return units.sub(" ", capsys.readouterr().out).split()


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("use", ["inference", "training", "ragged-training"])
def test_the_limit_of_products(monkeypatch: pytest.MonkeyPatch, use: str) -> None:
    import limits
    from problem import Problem
    from shapes import SHAPES

    monkeypatch.setattr(limits, "peak", lambda: 2.0)  # GFLOP/s
    problem = Problem("lstm", SHAPES["text"], use)  # I 5, H 64
    steps = problem.lengths.sum().item() if "ragged" in use else 40 * 8
    flops = 2 * 4 * 64 * (5 + 64) * steps * (3 if "training" in use else 1)
    found = limits.limit(problem, ours=0.5)
    assert found.seconds == pytest.approx(flops / 2e9)
    assert found.ratio == found.seconds / 0.5
    assert found.what == "all products at the peak, 2 GFLOP/s"


@pytest.mark.usefixtures("small")
def test_the_limit_of_a_step() -> None:
    """All weights, read once."""
    import limits
    from problem import Problem
    from shapes import SHAPES

    problem = Problem("lstm", SHAPES["step-128"], "step")
    found = limits.limit(problem, ours=1.0)
    speed = re.fullmatch(r"one vector times all weights, (\d+) GB/s", found.what)
    assert speed is not None
    numbers = 4 * 64 * (5 + 64) + 2 * 4 * 64
    assert int(speed[1]) == pytest.approx(4 * numbers / found.seconds / 1e9, rel=0.1, abs=1)


@pytest.mark.usefixtures("small")
def test_a_table_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "found.json"
    chosen = ["--cell", "lstm", "--shape", "text", "--use", "inference", "--peers", "torch"]
    (entry,) = results(path, *chosen)["entries"]
    table = loaded("speed_table")
    capsys.readouterr()
    table.main([str(path)])
    *_, line = capsys.readouterr().out.splitlines()
    ours, theirs = (row["time"]["median"] for row in entry["rows"])
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:3] == ["lstm", "40, 8, 5, 64", "inference"]
    assert cells[4] == "torch"
    assert float(cells[3]) == pytest.approx(1e3 * ours, rel=0.01)
    assert float(cells[5]) == pytest.approx(1e3 * theirs, rel=0.01)
    assert float(cells[6]) == pytest.approx(theirs / ours, abs=0.006)
    assert float(cells[7]) == pytest.approx(entry["limit"]["ratio"], abs=0.006)


@pytest.mark.parametrize("content", [None, "no JSON", "[]", '{"entries": [{}]}'])
def test_no_table_of_what_is_no_run(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "found.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"found\.json"):
        loaded("speed_table").main([str(path)])
    with pytest.raises(SystemExit, match="which files"):
        loaded("speed_table").main([])


def test_quartiles() -> None:
    from timing import spread

    found = spread([4.0, 1.0, 3.0, 2.0, 5.0])
    assert (found.median, found.low, found.high, found.least) == (3, 2, 4, 1)


@pytest.mark.usefixtures("small")
def test_the_other_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import recurrence
    import shapes
    import shares

    shape = shapes.SHAPES["text"]
    monkeypatch.setattr(recurrence, "SHAPES", (shape,))
    monkeypatch.setattr(shares, "TABLE", shape)
    chosen = ["--tables", "recurrence,cells", "--cell", "lstm"]
    found = results(tmp_path / "found.json", *chosen)
    assert [kernel["direction"] for kernel in found["recurrence"]] == [
        "forward",
        "forward, training",
        "backward",
    ]
    assert all(kernel["share"] > 0 and not kernel["left_out"] for kernel in found["recurrence"])
    training, inference = found["cells"]
    assert (training["use"], inference["use"]) == ("training", "inference")
    assert training["stages"] == 1
    assert 0.1 < training["share"] < 10


def test_every_entry_is_sensible_and_has_a_peer() -> None:
    import equations
    import registry
    from peers import PEERS
    from problem import USES
    from shapes import SHAPES

    for entry in (*registry.FULL, *registry.QUICK):
        assert registry.sensible(entry), entry
        assert entry.cell in equations.names()
        assert entry.shape in SHAPES
        assert entry.use in USES
        covering = [name for name in PEERS if PEERS[name].covers(entry.cell, entry.use)]
        assert len(covering) >= 2, entry
    assert set(registry.QUICK) <= set(registry.FULL)
    assert {entry.shape for entry in registry.FULL} == set(SHAPES)
    assert {entry.use for entry in registry.FULL} == set(USES)


def test_what_is_chosen() -> None:
    from registry import FULL, Entry, select

    assert select(FULL, [], [], []) == list(FULL)
    assert {entry.cell for entry in select(FULL, ["mgu"], [], [])} == {"mgu"}
    unlisted = Entry("mgu", "wide", "inference")
    assert unlisted not in FULL
    assert select(FULL, ["mgu"], ["wide", "step-128"], ["inference"]) == [unlisted]
    assert select(FULL, ["lstm"], ["text"], ["step"]) == []
    assert select(FULL, ["lstm"], ["stream-128"], ["ragged-inference"]) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cell", "lstn"],
        ["--shape", "text", "--use", "step"],
        ["--threads", "0"],
        ["--rounds", "many"],
        ["--seconds", "0"],
        ["--minutes", "nan"],
        ["--json", "/no such folder/found.json"],
        ["--json", "/"],
    ],
)
def test_a_mistake_is_told_without_a_traceback(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    import run

    with pytest.raises(SystemExit) as stopped:
        run.main(arguments)
    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err

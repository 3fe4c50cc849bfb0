"""The registry of cells: by name, as they are, and from plain functions."""

from __future__ import annotations

import subprocess
import sys

import pytest

from recurra import cells
from recurra.citations import sources
from recurra.errors import CellError, UnknownNameError
from recurra.graph import tanh


def plain(p, x, h):
    """My own cell. For this test."""
    h = tanh(p.W_h @ x + p.U_h @ h + p.b_h)
    return h


def test_names_are_sorted_and_all_can_be_got() -> None:
    assert list(cells.names()) == sorted(cells.names())
    assert {cells.get(name).name for name in cells.names()} == set(cells.names())


def test_a_cell_is_made_once() -> None:
    assert cells.get("lstm") is cells.get("lstm")
    assert cells.get(cells.get("lstm")) is cells.get("lstm")


def test_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown cell 'lsmt'\. Did you mean 'lstm'\?"):
        cells.get("lsmt")


def test_unknown_name_without_a_near_one_lists_all() -> None:
    with pytest.raises(UnknownNameError, match=r"elman.*mgu"):
        cells.get("qqqq")


def test_plain_function_becomes_a_cell() -> None:
    cell = cells.get(plain)
    assert cell.name == "plain"
    assert cell.graph.state_names == ("h",)
    assert (cell.title, cell.year) == ("My own cell", None)
    assert cell.graph.updates == cells.get("elman").graph.updates  # equal equations, the same nodes


def test_function_that_reads_the_time_has_no_state_t() -> None:
    def clock(p, x, h, t):
        h = tanh(p.W_h @ x + p.U_h @ h) * t
        return h

    assert cells.get(clock).graph.state_names == ("h",)


def test_no_function_is_no_cell() -> None:
    with pytest.raises(CellError, match="a int is no cell"):
        cells.get(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", cells.names())
def test_a_cell_says_what_it_is_good_for_in_one_line(name: str) -> None:
    purpose = cells.get(name).purpose
    assert purpose
    assert "\n" not in purpose
    assert len(purpose) <= 100
    assert purpose[-1] != "."


@pytest.mark.parametrize("name", cells.names())
def test_a_cell_names_sources_that_the_bibliography_has(name: str) -> None:
    cell = cells.get(name)
    found = sources(cell)
    assert tuple(found) == cell.cite
    assert len(set(cell.cite)) == len(cell.cite) > 0


def test_cells_and_graphs_need_no_torch() -> None:
    program = (
        "import sys, recurra, recurra.errors, recurra.graph, recurra.cells as cells\n"
        "from recurra.graph import gradients, latex, listing, rewrite, simplify, text\n"
        "for name in cells.names():\n"
        "    graph = cells.get(name).graph\n"
        "    text(graph), latex(graph), listing(graph), gradients.differentiate(graph)\n"
        "loaded = {module.partition('.')[0] for module in sys.modules}\n"
        "sys.exit(str(loaded & {'torch', 'numpy'}) if loaded & {'torch', 'numpy'} else 0)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr

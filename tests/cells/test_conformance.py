"""Every published cell inherits these tests: gradients, counts, printed forms, its file."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
import torch

from recurra import cells
from recurra.graph import latex, listing, text
from recurra.graph.facts import parameter_count, parameters_per_unit
from support import counts
from support.checks import (
    call_values,
    check_backward,
    check_gradients,
    check_lengths,
    check_value,
    layer_of,
)
from support.samples import sample

every_cell = pytest.mark.parametrize("name", cells.names())


@every_cell
def test_autograd_agrees_with_numeric_gradients_twice(name: str) -> None:
    check_gradients(name)


@every_cell
@pytest.mark.parametrize("seed", [0, 1])
def test_backward_graph_agrees_with_autograd(name: str, seed: int) -> None:
    graph = cells.get(name).graph
    check_backward(graph, sample(graph, seed=seed))


@every_cell
def test_reference_agrees_with_naive_evaluation(name: str) -> None:
    check_value(cells.get(name).graph)


@every_cell
def test_rows_of_different_lengths(name: str) -> None:
    check_lengths(name)


@every_cell
def test_float32_is_float64_rounded(name: str) -> None:
    layer = layer_of(name)
    x, states, _ = call_values(layer)
    state = states if len(states) > 1 else states[0]
    output, _ = layer(x, state)
    single = tuple(part.float() for part in states)
    output32, _ = layer.float()(x.float(), single if len(single) > 1 else single[0])
    assert output32.dtype == torch.float32
    torch.testing.assert_close(output32, output.float(), rtol=1e-4, atol=1e-5)


@every_cell
def test_parameter_count_is_the_papers(name: str) -> None:
    graph = cells.get(name).graph
    table = counts.by_cell()
    assert name in table, f"add the weights of {name} by its paper to tests/support/counts"
    formula, per_unit = table[name]
    for I, H, P in ((1, 1, 1), (7, 5, 3)):
        assert parameter_count(graph, {"I": I, "H": H, "P": P}) == formula(I, H, P)
    assert parameters_per_unit(graph) == per_unit
    layer = layer_of(name)
    assert sum(p.numel() for p in layer.parameters()) == formula(2, 3, 2)


@every_cell
def test_every_equation_is_printed(name: str) -> None:
    graph = cells.get(name).graph
    written = text(graph).splitlines()
    typeset = latex(graph)
    for local, _ in graph.named:
        assert sum(line.split("=")[0].strip() == f"{local}[t]" for line in written) == 1
        base, *below = local.split("_")
        word = rf"(?:\\{base}|\\mathrm\{{{base}\}})" if len(base) > 1 else base
        index = re.escape(f"_{{{', '.join([*below, 't'])}}}")
        assert re.search(rf"^{word}{index} &= ", typeset, re.MULTILINE)
        assert re.search(rf" {local}$", listing(graph), re.MULTILINE)
    for parameter in graph.parameters:
        assert re.search(rf"\b{parameter.attribute}\b", text(graph))
    assert typeset.count("{") == typeset.count("}")


@every_cell
def test_names_are_the_papers(name: str) -> None:
    """A gate f has its weights W_f, U_f, b_f: the suffix of a weight is a value of the cell."""
    cell = cells.get(name)
    assert cell.name == cell.graph.name == name
    values = {local for local, _ in cell.graph.named}
    assert {p.attribute.split("_", 1)[1] for p in cell.graph.parameters} <= values


@every_cell
def test_citation_names_author_and_year(name: str) -> None:
    cell = cells.get(name)
    years = re.findall(r"\b(?:19|20)\d\d\b(?!\.\d)", cell.citation)
    assert str(cell.year) in years
    assert cell.title
    assert re.search(r"[A-Z]\w+.* (?:19|20)\d\d", cell.citation)


@every_cell
def test_file_holds_citation_and_equations_only(name: str) -> None:
    path = Path(str(importlib.import_module(f"recurra.cells.{name}").__file__))
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 40
    documented, *rest = ast.parse(source).body
    assert isinstance(documented, ast.Expr)
    for statement in rest:
        if isinstance(statement, ast.ImportFrom):
            assert statement.module == "recurra.graph"
            continue
        assert isinstance(statement, ast.FunctionDef)
        for line in statement.body:
            assert isinstance(line, ast.Assign | ast.Return), ast.unparse(line)
    assert isinstance(rest[-1], ast.FunctionDef)
    assert rest[-1].name == name

"""A diagram says what its graph says: the LSTM by hand, all cells against their graphs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings

from recurra import cells
from recurra.graph import Cell, Expression, Graph, cell, sigmoid, tanh
from recurra.graph.expression import walk
from recurra.inspection.diagram.elements import Diagram
from recurra.inspection.diagram.reduction import reduce
from support.random_cells import random_cells

LSTM_NODES = {
    "input:x": ("input", "x"),
    "before:h": ("before", "h"),
    "before:c": ("before", "c"),
    "join:1": ("join", ""),
    "i": ("gate", "σ"),
    "f": ("gate", "σ"),
    "g": ("gate", "tanh"),
    "o": ("gate", "σ"),
    "product:1": ("product", "×"),
    "product:2": ("product", "×"),
    "c": ("sum", "+"),
    "function:1": ("function", "tanh"),
    "h": ("product", "×"),
    "after:h": ("after", "h"),
    "after:c": ("after", "c"),
    "output:h": ("output", "h"),
}
LSTM_EDGES = {
    *(("before:h", "join:1"), ("input:x", "join:1")),
    *(("join:1", gate) for gate in "ifgo"),
    *(("f", "product:1"), ("before:c", "product:1"), ("i", "product:2"), ("g", "product:2")),
    *(("product:1", "c"), ("product:2", "c"), ("c", "function:1"), ("o", "h")),
    *(("function:1", "h"), ("h", "after:h"), ("c", "after:c"), ("h", "output:h")),
}


def reduced(name: str) -> Diagram:
    return reduce(cells.get(name).graph)


def test_the_lstm_by_hand() -> None:
    diagram = reduced("lstm")
    assert {key: (n.kind, n.label) for key, n in diagram.nodes.items()} == LSTM_NODES
    assert {(e.source, e.target) for e in diagram.edges} == LSTM_EDGES
    assert len(diagram.edges) == len(LSTM_EDGES)
    assert diagram.nodes["f"].text == "f[t] = sigmoid(W_f @ x[t] + U_f @ h[t-1] + b_f)"


def nearest(roots: list[Expression], stop: Callable[[Expression], bool]) -> set[Expression]:
    """The first nodes at and under `roots` that are stops, without those under a factor 0."""
    found, seen, stack = set(), set(), list(roots)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if stop(node):
            found.add(node)
        elif not (node.op == "multiply" and any(a.attribute == 0 for a in node.args)):
            stack.extend(node.args)
    return found


def reads_in_graph(graph: Graph) -> dict[str, set[str]]:
    """For each named value the named values, states and inputs that its equation reads."""
    leaves = ("input", "state", "given")
    keys = {
        n: ("input:" if n.op == "input" else "before:") + str(n.attribute)
        for n in walk(graph.roots)
        if n.op in leaves
    }
    keys |= {node: name for node, name in graph.names.items() if node.args}
    named = {name: value for name, value in graph.named if value.args}
    return {
        graph.names[value]: {keys[n] for n in nearest(list(value.args), keys.__contains__)}
        if not _cut(value)
        else set()
        for value in named.values()
    }


def _cut(node: Expression) -> bool:
    return node.op == "multiply" and any(a.attribute == 0 for a in node.args)


def reads_in_diagram(diagram: Diagram) -> dict[str, set[str]]:
    """The same, along the lines of the diagram."""

    def stops(key: str) -> bool:
        kind = diagram.kind(key)
        return kind in ("input", "before") or (bool(diagram.nodes[key].value))

    found = {}
    for key, node in diagram.nodes.items():
        if not node.value or node.kind in ("input", "before", "after", "output"):
            continue
        reached, seen, stack = set(), set(), list(diagram.operands[key])
        while stack:
            operand = stack.pop()
            if stops(operand):
                reached.add(operand)
            elif operand not in seen:
                seen.add(operand)
                stack.extend(diagram.operands[operand])
        found[key] = reached
    return found


@pytest.mark.parametrize("name", cells.names())
def test_every_value_reads_what_its_equation_reads(name: str) -> None:
    assert reads_in_diagram(reduced(name)) == reads_in_graph(cells.get(name).graph)


@pytest.mark.parametrize("name", cells.names())
def test_every_input_state_and_named_value_is_there_once(name: str) -> None:
    graph, diagram = cells.get(name).graph, reduced(name)
    ports = ("input", "before", "after", "output")
    found = [(n.kind, n.value) for n in diagram.nodes.values() if n.kind in ports]
    expected = [("input", str(leaf.attribute)) for leaf in graph.inputs]
    expected += [(kind, state) for kind in ("before", "after") for state in graph.state_names]
    expected += [("output", graph.names[graph.output])]
    assert sorted(found) == sorted(expected)
    inner = [n.value for n in diagram.nodes.values() if n.kind not in ports and n.value]
    assert sorted(inner) == sorted({graph.names[v] for _, v in graph.named if v.args})
    for state, update in zip(graph.state_names, graph.updates, strict=True):
        (source,) = diagram.operands[f"after:{state}"]
        value = graph.names[update] if update.args else f"before:{update.attribute}"
        assert source == value


@pytest.mark.parametrize("name", cells.names())
def test_nothing_hangs_in_the_air(name: str) -> None:
    diagram = reduced(name)
    assert {k for e in diagram.edges for k in (e.source, e.target)} <= set(diagram.nodes)
    for key, node in diagram.nodes.items():
        if not node.value:
            assert diagram.readers[key], key
            assert diagram.operands[key], key


def test_a_gate_and_its_sum_are_one_node() -> None:
    for name in ("lstm", "gru", "lstm_peephole", "mgu", "elman"):
        diagram = reduced(name)
        labels = [n.label for n in diagram.nodes.values() if n.kind == "gate" and n.value]
        assert set(labels) <= {"σ", "tanh"}


def test_labels_of_functions_by_hand() -> None:
    def labels(name: str) -> dict[str, str]:
        return {key: node.label for key, node in reduced(name).nodes.items()}

    assert labels("lstm_1997")["g"] == "4σ−2"
    assert labels("lstm_1997")["function:1"] == "2σ−1"
    assert labels("gru")["function:1"] == "1−"
    assert labels("gru")["gate:1"] == "weight:U_n"
    assert labels("rg_lru")["function:1"] == "√(1−a²)"
    assert labels("miru1")["function:1"] == "×0.5"
    assert labels("gru_layernorm")["x_r"] == "norm"
    assert labels("hgrn")["n"] == "φ"


def test_subtracted_values_are_marked() -> None:
    signs = {(e.source, e.target): e.sign for e in reduced("atr").edges}
    assert signs["q", "sum:2"] == "-"
    assert signs["v", "sum:2"] == ""
    assert signs["q", "sum:1"] == ""
    assert {e.source for e in reduced("slstm").edges if e.sign == "/"} == {"n"}


def test_operands_that_all_gates_read_are_joined() -> None:
    diagram = reduced("lstm_multiplicative")
    joined = {tuple(diagram.operands[k]) for k in diagram.nodes if k.startswith("join:")}
    assert joined == {("m", "input:x")}


def test_values_of_weights_alone_are_nodes_where_they_have_a_name() -> None:
    diagram = reduced("mgu3")
    assert diagram.nodes["f"].kind == "gate"
    assert diagram.operands["f"] == []


def test_a_sum_of_a_value_with_itself() -> None:
    @cell(state="h")
    def twice(p, x, h):
        n = sigmoid(p.W_n @ x) * h
        h = tanh(n + n)
        return h

    diagram = reduce(twice.graph)
    assert diagram.operands["h"] == ["n"]
    assert diagram.nodes["h"].label == "tanh(n+n)"


@given(random_cells())
@settings(max_examples=30)
def test_any_cell_reads_what_its_equations_read(random: Cell) -> None:
    diagram = reduce(random.graph)
    assert reads_in_diagram(diagram) == reads_in_graph(random.graph)

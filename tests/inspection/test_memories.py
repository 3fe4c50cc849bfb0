"""What is a gate, and which state is an additive memory, read from the equations."""

from __future__ import annotations

import random

import pytest
import torch

from recurra import Recurrent, cells
from recurra.errors import UsageError
from recurra.graph import cell, exp, sigmoid, tanh, where
from recurra.graph.operations import OPERATIONS
from recurra.inspection import ranges, record
from recurra.inspection.evaluation import Missing, Values
from recurra.inspection.memories import find_memories, memory
from recurra.inspection.ranges import bounds, find_gates
from recurra.inspection.values import observable

# From the papers: the gates and the share of the memory that is kept.
PUBLISHED = {
    "elman": ("", ""),
    "lstm": ("i f o", "c: f"),
    "lstm_1997": ("i o", "c: 1"),
    "lstm_cifg": ("f o", "c: f"),
    "lstm_cifg_peephole": ("i f o", "c: f"),
    "lstm_nested": ("i f o i_c f_c o_c", "m: f_c"),
    "gru": ("r z", "h: z"),
    "mgu": ("f", "h: 1 - f"),
    "minlstm": ("f i", "h: f"),
    "hgrn": ("f", "h: cosine * f, m: cosine * f"),
    "rhn_2": ("t_1 t_2", "s: (1 - t_1) * (1 - t_2)"),
    "rg_lru": ("r i a", "h: a"),
    "scrn": ("", "s: 0.95"),
    "cfn": ("f i", ""),
    "nas": ("a d g j", ""),
    "lstm_fgr": ("i f o", "c: f"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_gates_and_memories_of_published_cells(name: str) -> None:
    graph = cells.get(name).graph
    kept = ", ".join(f"{one.state}: {one.text}" for one in find_memories(graph))
    assert (" ".join(find_gates(graph)), kept.replace("1 - i", "f")) == PUBLISHED[name]


def test_a_memory_knows_the_gates_that_keep_it() -> None:
    assert memory(cells.get("rhn_2").graph, "s").gates == ("t_1", "t_2")
    with pytest.raises(UsageError, match=r"h of cell lstm is no additive memory.*: c"):
        memory(cells.get("lstm").graph, "h")


def test_a_state_that_is_squared_or_divides_is_no_memory() -> None:
    @cell(state="a, b, c")
    def odd(p, x, a, b, c):
        a = a * a + p.W_a @ x
        b = sigmoid(p.W_b @ x) / (2 + b)
        c = where(p.W_c @ x > 0, 0.5 * c, tanh(c))
        return a, b, c

    assert [(one.state, one.text) for one in find_memories(odd.graph)] == [
        ("c", "where(W_c @ x > 0, 0.5, 0)")
    ]


@pytest.mark.parametrize("name", cells.names())
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_parts_make_the_recorded_state(name: str, bidirectional: bool) -> None:
    """keep * before + write is the state that the layer computed, in every cell."""
    recording = run(name, bidirectional)
    for part, facts in recording.parts.items():
        values = Values(recording, part)
        for one in find_memories(facts.graph):
            state = recording[f"{part}.{one.state}"]
            before = values._before(one.state)
            keep = values(one.keep)
            try:
                write = values(one.write)
            except Missing:
                assert name in ("clockwork", "cornn", "lem", "lstm_depth_gated", "scrn", "unicornn")
                continue
            if isinstance(keep, torch.Tensor) and keep.dim() == 3 and before.dim() == 4:
                keep = keep.unsqueeze(-1)
            alive = recording.alive.view(*recording.alive.shape, *[1] * (state.dim() - 2))
            torch.testing.assert_close(torch.where(alive, keep * before + write, 0.0), state)


@pytest.mark.parametrize("name", cells.names())
def test_no_value_leaves_its_bounds(name: str) -> None:
    recording = run(name, False)
    for part, facts in recording.parts.items():
        for value, node in observable(facts.graph).items():
            low, high = bounds(facts.graph)[node]
            seen = recording[f"{part}.{value}"][recording.alive]
            assert low <= seen.min()
            assert seen.max() <= high


def run(name: str, bidirectional: bool):
    torch.manual_seed(3)
    graph = cells.get(name).graph
    letters = {letter for _, shape in graph.leaf_shapes for letter in shape} - {"I", "H"}
    units = 6 if graph.shape(graph.leaf("x")) == ("I",) else 4
    bidirectional = bidirectional and units == 6
    layer = Recurrent(
        name, 4, units, 1, bidirectional=bidirectional, sizes=dict.fromkeys(letters, units)
    )
    layer = layer.double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_()
    return record(layer, 2 * torch.randn(5, 3, 4).double(), lengths=[5, 2, 4])


def test_bounds_by_hand() -> None:
    @cell(state="h")
    def many(p, x, h):
        a = sigmoid(p.W_a @ x)
        b = tanh(p.W_b @ x)
        mixed = a * b + (1 - a) * a
        square = b * b
        share = a / (a + square)
        product = a * (1 - a) * b
        decay = exp(-square)
        wide = 3 * b - 2 * a
        pole = a / b
        h = h * mixed * square * share * product * decay * wide * pole
        return h

    found = {name: bounds(many.graph)[value] for name, value in many.graph.named}
    assert found["mixed"] == (-1, 1)
    assert found["square"] == (0, 1)
    assert found["share"] == (0, 1)
    assert found["product"] == (-1, 1)
    assert found["decay"] == (pytest.approx(0.36787944), 1)
    assert found["wide"] == (-5, 3)
    assert found["pole"] == (-float("inf"), float("inf"))
    assert find_gates(many.graph) == ("a", "square", "share", "decay")


def test_every_operation_has_bounds() -> None:
    assert set(ranges.RULES) | {"parameter"} == set(OPERATIONS)


def test_bounds_hold_for_random_intervals() -> None:
    """Each rule against the smallest and largest value of a fine grid."""
    random.seed(0)
    rules = {"multiply": lambda a, b: a * b, "subtract": lambda a, b: a - b, "divide": None}
    rules["divide"] = lambda a, b: a / b
    for op, function in rules.items():
        for _ in range(50):
            a, b = (sorted(random.uniform(-2, 2) for _ in range(2)) for _ in range(2))
            if op == "divide":
                b = [abs(b[0]) + 0.1, abs(b[0]) + 1.1]
            grid = [torch.linspace(*one, 40, dtype=torch.double) for one in (a, b)]
            values = function(grid[0].unsqueeze(1), grid[1])
            node = cells.get("lstm").graph.output  # its operands differ
            low, high = ranges.RULES[op](node, tuple(a), tuple(b))
            assert low == pytest.approx(float(values.min()))
            assert high == pytest.approx(float(values.max()))

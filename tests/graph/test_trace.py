"""Tracing: what becomes a name, a weight, an input; and what tracing leaves as it was."""

from __future__ import annotations

import cProfile
import pstats
import sys
from types import SimpleNamespace

import pytest

from recurra.errors import CellError
from recurra.graph import as_cell, cell, mean, sigmoid, tanh
from recurra.graph.trace import _stored_by


def test_locals_are_the_papers_names_in_order() -> None:
    @cell(state="h, c")
    def named(p, x, h, c):
        size = 2  # a number is no value of the step
        f = sigmoid(p.W_f @ x)
        weight = p.U_h  # nor is a leaf
        g = tanh(weight @ h) * size
        c = f * c + g
        h = tanh(c)
        return h, c

    assert [name for name, _ in named.graph.named] == ["f", "g", "c", "h"]
    assert [p.attribute for p in named.graph.parameters] == ["W_f", "U_h"]
    assert [i.attribute for i in named.graph.inputs] == ["x"]
    assert named.graph.names[named.graph.updates[1]] == "c"


def test_weights_may_have_any_name() -> None:
    @cell(state="h")
    def odd(p, x, h):
        h = tanh(p.trained @ x + p["U_1"] @ h + p.order)
        return h

    assert [w.attribute for w in odd.graph.parameters] == ["trained", "U_1", "order"]


def test_a_loop_over_weights() -> None:
    @cell(state="h")
    def deep(p, x, h):
        h = tanh(p.W_h @ x + sum(p[f"U_{k}"] @ (h * k) for k in range(1, 3)))
        return h

    assert [w.attribute for w in deep.graph.parameters] == ["W_h", "U_1", "U_2"]


def test_the_citation_is_the_docstring() -> None:
    @cell(state="h", year=1999)
    def cited(p, x, h):
        """A net. Somebody 1999,
        a journal.
        """
        h = tanh(p.W_h @ x + p.U_h @ h)
        return h

    assert (cited.title, cited.citation) == ("A net", "A net. Somebody 1999, a journal.")
    assert cited.year == 1999


def test_a_lambda_is_a_cell() -> None:
    made = as_cell(lambda p, x, h: tanh(p.W_h @ x + p.U_h @ h))
    assert made.graph.named == (("h", made.graph.updates[0]),)


def test_another_profiler_goes_on() -> None:
    def watch(*event: object) -> None:
        return None

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        as_cell(lambda p, x, h: tanh(p.W_h @ x + p.U_h @ h))
        assert sys.getprofile() is watch
        with pytest.raises(CellError):
            as_cell(lambda p, x, h: h > 0 or x)
        assert sys.getprofile() is watch
    finally:
        sys.setprofile(before)


def test_a_cell_can_be_defined_while_cprofile_watches() -> None:
    with cProfile.Profile() as profiler:
        as_cell(lambda p, x, h: tanh(p.W_h @ x + p.U_h @ h))
        sorted([2, 1])
    assert "sorted" in str(list(pstats.Stats(profiler).stats))


def test_another_mistake_of_the_cell_is_shown_as_it_is() -> None:
    def broken(p, x, h):
        return unknown(h)  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(NameError, match="unknown"):
        as_cell(broken)


def test_the_cause_of_an_error_is_kept() -> None:
    def added(p, x, h):
        return tanh(p.W_h @ x + p.U_h @ h + None.size)  # type: ignore[attr-defined]

    with pytest.raises(CellError, match="'NoneType' object has no attribute 'size'") as caught:
        as_cell(added)
    assert type(caught.value.__cause__) is AttributeError


def test_a_loop_may_bind_a_state_again() -> None:
    def twice(p, x, h):
        n = h
        for _ in range(2):
            a = p.U_h @ h
            h = tanh(p.W_h @ x + a)
        return h + n

    graph = as_cell(twice).graph
    first = graph.leaf("h")
    x, w, u = (graph.leaf(name) for name in ("x", "W_h", "U_h"))
    last = u @ tanh(w @ x + u @ first)
    assert dict(graph.named) == {"a": last, "h": tanh(w @ x + last) + first}


def test_an_error_shows_a_value_by_its_name() -> None:
    def cut_off(p, x, h):
        gate = sigmoid(p.W_g @ x + p.U_g @ h)
        scaled = gate * mean(h)
        h = tanh(p.U_h @ h) + p.V_h @ mean(scaled * gate)
        return h

    with pytest.raises(CellError, match=r": in V_h @ mean\(scaled \* gate\): the right side"):
        as_cell(cut_off)

    def shrinking(p, x, h):
        h = mean(tanh(p.W_h @ x + p.U_h @ h))
        return h

    with pytest.raises(CellError, match=": in h: state h has the shape"):
        as_cell(shrinking)


def test_an_error_cuts_a_long_expression() -> None:
    def long(p, x, h):
        h = tanh(p.U_h @ mean(sum(p[f"W_{k}"] @ x for k in range(20)) + p.U_h @ h))
        return h

    with pytest.raises(CellError) as caught:
        as_cell(long)
    shown = str(caught.value).split(": in ")[1].split(": the right side")[0]
    assert len(shown) == 80
    assert shown.startswith("U_h @ mean(0 + W_0 @ x + ")
    assert shown.endswith("...")


def test_graphs_of_equal_cells_share_their_nodes() -> None:
    def one(p, x, h):
        h = tanh(p.W_h @ x + p.U_h @ h - mean(h))
        return h

    assert as_cell(one).graph.updates == as_cell(one).graph.updates
    assert as_cell(one).graph != as_cell(one).graph  # a graph is the key of caches: itself only


@pytest.mark.parametrize(
    ("opname", "argval", "stored"),
    [
        ("STORE_FAST", "a", ("a",)),
        ("STORE_DEREF", "a", ("a",)),
        ("STORE_FAST_STORE_FAST", ("a", "b"), ("a", "b")),  # Python 3.13
        ("STORE_FAST_LOAD_FAST", ("a", "b"), ("a",)),
        ("LOAD_FAST", "a", ()),
    ],
)
def test_instructions_that_bind_a_local(opname: str, argval: object, stored: object) -> None:
    assert _stored_by(SimpleNamespace(opname=opname, argval=argval)) == stored  # type: ignore[arg-type]

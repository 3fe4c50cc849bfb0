"""Text, LaTeX and listing of a graph; text is read back as Python and gives the same nodes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recurra import cells
from recurra import graph as notation
from recurra.graph import Expression, cell, latex, listing, sigmoid, tanh, text
from recurra.graph.latex import LATEX
from recurra.graph.operations import LEAVES, OPERATIONS
from recurra.graph.text import expression_text

LEAF = {name: Expression("state", (), name) for name in ("a", "b", "c")}
OPS = sorted(set(OPERATIONS) - LEAVES - {"spread", "outer"})


def expressions() -> st.SearchStrategy[Expression]:
    """Any nesting of all operations; shapes do not matter for printing."""
    leaves = st.sampled_from([*LEAF.values(), notation.constant(2), notation.constant(0.5)])

    def grow(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        return st.sampled_from(OPS).flatmap(
            lambda op: st.tuples(*[inner] * OPERATIONS[op].arity).map(
                lambda args: Expression(op, args)
            )
        )

    return st.recursive(leaves, grow, max_leaves=12)


def of_numbers_only(node: Expression) -> bool:
    return node.op == "constant" or (bool(node.args) and all(map(of_numbers_only, node.args)))


def python_computes(node: Expression) -> bool:
    """Whether Python takes `2 + 2` or `2 @ a` for its own, so that no nodes come back."""
    numbers = [arg for arg in node.args if of_numbers_only(arg)]
    own = bool(numbers) and (len(numbers) == len(node.args) or node.op == "matmul")
    return own or any(map(python_computes, node.args))


@given(expressions().filter(lambda node: bool(node.args) and not python_computes(node)))
def test_text_reads_back_as_the_same_node(node: Expression) -> None:
    names = {name: getattr(notation, name) for name in notation.__all__}
    assert eval(expression_text(node), names | LEAF) is node


def test_a_matrix_that_is_masked_stands_in_brackets() -> None:
    """M * U @ h is right in Python, but a reader may take it for M * (U @ h)."""
    masked = (LEAF["a"] * LEAF["b"]) @ LEAF["c"]
    assert expression_text(masked) == "(a * b) @ c"
    assert LATEX.render(masked) == r"\left(a \odot b\right) \, c"
    assert expression_text(LEAF["a"] * (LEAF["b"] @ LEAF["c"])) == "a * (b @ c)"


@given(expressions())
def test_latex_is_balanced(node: Expression) -> None:
    typeset = LATEX.render(node)
    assert typeset.count("{") == typeset.count("}")
    assert typeset.count(r"\left") == typeset.count(r"\right")
    depth = 0
    for character in typeset:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0


def test_lstm_as_text() -> None:
    assert text(cells.get("lstm").graph) == (
        "i[t] = sigmoid(W_i @ x[t] + U_i @ h[t-1] + b_i)\n"
        "f[t] = sigmoid(W_f @ x[t] + U_f @ h[t-1] + b_f)\n"
        "g[t] = tanh(W_g @ x[t] + U_g @ h[t-1] + b_g)\n"
        "o[t] = sigmoid(W_o @ x[t] + U_o @ h[t-1] + b_o)\n"
        "c[t] = f[t] * c[t-1] + i[t] * g[t]\n"
        "h[t] = o[t] * tanh(c[t])"
    )


def test_gru_as_latex() -> None:
    lines = latex(cells.get("gru").graph).splitlines()
    assert lines[0] == r"\begin{aligned}"
    assert lines[-1] == r"\end{aligned}"
    assert lines[3] == (
        r"n_{t} &= \tanh\left(W_{n} \, x_{t} + b_{n} + r_{t} \odot "
        r"\left(U_{n} \, h_{t-1} + c_{n}\right)\right) \\"
    )
    assert lines[4] == (r"h_{t} &= \left(1 - z_{t}\right) \odot n_{t} + z_{t} \odot h_{t-1}")


def test_greek_and_long_names_as_latex() -> None:
    @cell(state="h")
    def named(p, x, h, t):
        gamma_f = sigmoid(p.W_f @ x + 1e-5 * t)
        lambda_ = tanh(p.theta * h)
        h = gamma_f * lambda_ / (1 + h * h)
        return h

    typeset = latex(named.graph)
    assert (
        r"\gamma_{f, t} &= \sigma\left(W_{f} \, x_{t} + 1 \cdot 10^{-5} \odot t\right)" in typeset
    )
    assert r"\lambda_{t} &= \tanh\left(\theta \odot h_{t-1}\right)" in typeset
    assert r"\frac{\gamma_{f, t} \odot \lambda_{t}}{1 + h_{t-1} \odot h_{t-1}}" in typeset


def test_a_part_that_stands_twice_gets_a_free_name() -> None:
    @cell(state="h")
    def shared(p, x, h):
        s1 = tanh(p.W_h @ x)
        h = (p.U_h @ h + s1) * sigmoid(p.U_h @ h + s1)
        return h

    assert text(shared.graph) == (
        "s1[t] = tanh(W_h @ x[t])\ns2[t] = U_h @ h[t-1] + s1[t]\nh[t]  = s2[t] * sigmoid(s2[t])"
    )


def test_listing_says_where_a_node_is_computed() -> None:
    rows = listing(cells.get("elman").graph).splitlines()
    assert rows[0].split() == ["%0", "parameter", "W_h", "(H,", "I)", "once"]
    assert rows[2].split() == ["%2", "matmul", "%0,", "%1", "(H)", "all", "steps", "at", "once"]
    assert rows[-1].split() == ["%9", "tanh", "%8", "(H)", "each", "step", "h"]


@pytest.mark.parametrize("name", cells.names())
def test_printing_is_the_same_every_time(name: str) -> None:
    graph = cells.get(name).graph
    assert text(graph) == text(graph)
    assert latex(graph) == latex(graph)
    assert listing(graph) == listing(graph)

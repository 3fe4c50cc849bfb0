"""A graph as LaTeX, for papers and documentation."""

from __future__ import annotations

import re

from recurra.graph.expression import Expression
from recurra.graph.graph import Graph
from recurra.graph.notation import ATOM, PRODUCT, SIGN, SUM, Form, Notation, equations
from recurra.graph.operations import LEAVES

_GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "pi",
        "rho",
        "sigma",
        "tau",
        "phi",
        "chi",
        "psi",
        "omega",
    ]
)

_FORMS = {
    "add": Form("{0} + {1}", SUM, (SUM, PRODUCT)),
    "subtract": Form("{0} - {1}", SUM, (SUM, PRODUCT)),
    "multiply": Form(r"{0} \odot {1}", PRODUCT, (PRODUCT, SIGN)),
    "divide": Form(r"\frac{{{0}}}{{{1}}}"),
    "matmul": Form(r"{0} \, {1}", PRODUCT, (SIGN, SIGN)),
    "greater": Form(r"\left[{0} > {1}\right]"),
    "negate": Form("-{0}", SIGN, (SIGN,)),
    "maximum": Form(r"\max\left({0}, {1}\right)"),
    "minimum": Form(r"\min\left({0}, {1}\right)"),
    "where": Form(r"\operatorname{{where}}\left({0}, {1}, {2}\right)"),
    "exp": Form(r"\exp\left({0}\right)"),
    "log": Form(r"\log\left({0}\right)"),
    "sqrt": Form(r"\sqrt{{{0}}}"),
    "tanh": Form(r"\tanh\left({0}\right)"),
    "sigmoid": Form(r"\sigma\left({0}\right)"),
    "relu": Form(r"\operatorname{{relu}}\left({0}\right)"),
    "softplus": Form(r"\operatorname{{softplus}}\left({0}\right)"),
    "floor": Form(r"\left\lfloor {0} \right\rfloor"),
    "sum": Form(r"\operatorname{{sum}}\left({0}\right)"),
    "mean": Form(r"\operatorname{{mean}}\left({0}\right)"),
    "max": Form(r"\operatorname{{max}}\left({0}\right)"),
    "spread": Form(r"{0} \, \mathbf{{1}}", PRODUCT, (PRODUCT,)),
    "transpose": Form(r"{0}^{{\top}}", ATOM, (ATOM,)),
    "outer": Form(r"{0} \, {1}^{{\top}}", PRODUCT, (SIGN, ATOM)),
}


def _symbol(name: str, time: str = "") -> str:
    """A name with its subscripts: W_f -> W_{f}, lambda -> \\lambda, c at time t-1 -> c_{t-1}."""
    base, *subscripts = name.split("_")
    if base in _GREEK:
        base = rf"\{base}"
    elif len(base) > 1:
        base = rf"\mathrm{{{base}}}"
    below = ", ".join([*filter(None, subscripts), *filter(None, [time])])
    return f"{base}_{{{below}}}" if below else base


def _leaf(node: Expression) -> str:
    if node.op != "constant":
        return _symbol(str(node.attribute))
    return re.sub(r"e([+-])0*(\d+)", r" \\cdot 10^{\1\2}", f"{node.attribute:g}").replace("{+", "{")


LATEX = Notation(_FORMS | {name: Form("{0}") for name in LEAVES}, r"\left({}\right)", _leaf)


def latex(graph: Graph) -> str:
    """The equations of a graph as an `aligned` block.

    Example:
        >>> from recurra import cells
        >>> print(latex(cells.get("elman").graph))
        \\begin{aligned}
        h_{t} &= \\tanh\\left(W_{h} \\, x_{t} + U_{h} \\, h_{t-1} + b_{h}\\right)
        \\end{aligned}
    """

    rows = equations(graph)
    names = {value: left for left, value in rows if value.args}

    def name(node: Expression) -> str | None:
        if node in names:
            return _symbol(names[node], "t")
        if node.op == "input":
            return "t" if node.attribute == "t" else _symbol(str(node.attribute), "t")
        return _symbol(str(node.attribute), "t-1") if node.op == "state" else None

    lines = [f"{_symbol(left, 't')} &= {LATEX.render(right, name)}" for left, right in rows]
    return "\n".join([r"\begin{aligned}", " \\\\\n".join(lines), r"\end{aligned}"])

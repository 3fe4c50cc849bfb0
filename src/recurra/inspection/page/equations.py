"""The equations of a cell as HTML, once with its symbols and once with places for numbers."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from recurra.graph.expression import Expression
from recurra.graph.graph import Graph
from recurra.graph.notation import ATOM, PRODUCT, SIGN, SUM, Form, Notation, equations
from recurra.graph.operations import LEAVES, OPERATIONS
from recurra.inspection.memories import find_memories
from recurra.inspection.ranges import find_gates
from recurra.inspection.values import ACTIVATIONS

_GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "epsilon": "ε",
    "zeta": "ζ",
    "eta": "η",
    "theta": "θ",
    "kappa": "κ",
    "lambda": "λ",
    "mu": "μ",
    "nu": "ν",
    "xi": "ξ",
    "pi": "π",
    "rho": "ρ",
    "sigma": "σ",
    "tau": "τ",
    "phi": "φ",
    "chi": "χ",
    "psi": "ψ",
    "omega": "ω",
}
_INFIX = {
    "add": Form("{0} + {1}", SUM, (SUM, PRODUCT)),
    "subtract": Form("{0} − {1}", SUM, (SUM, PRODUCT)),
    "multiply": Form("{0} · {1}", PRODUCT, (PRODUCT, SIGN)),
    "divide": Form("{0} / {1}", PRODUCT, (PRODUCT, SIGN)),
    "matmul": Form("{0}&#8201;{1}", PRODUCT, (PRODUCT, SIGN)),
    "greater": Form("[{0} &gt; {1}]"),
    "negate": Form("−{0}", SIGN, (SIGN,)),
    "sigmoid": Form("σ({0})"),
    "sqrt": Form("√({0})"),
    "spread": Form("{0}&#8201;<b>1</b>", PRODUCT, (PRODUCT,)),
    "transpose": Form("{0}<sup>⊤</sup>", ATOM, (ATOM,)),
    "outer": Form("{0}&#8201;{1}<sup>⊤</sup>", PRODUCT, (SIGN, ATOM)),
}
_CALLS = {
    name: Form(f"{name}({', '.join(('{0}', '{1}', '{2}')[: op.arity])})")
    for name, op in OPERATIONS.items()
    if name not in _INFIX and name not in LEAVES
}


def symbol(name: str, time: str = "") -> str:
    """A name with its subscripts: c at time t-1 as <i>c</i><sub>t−1</sub>."""
    base, *below = name.split("_")
    shown = html.escape(_GREEK.get(base, base))
    style = "i" if len(shown) == 1 else "span"
    parts = [html.escape(_GREEK.get(part, part)) for part in below if part]
    if time:
        parts.append(f'<span class="time">{time}</span>')
    return f"<{style}>{shown}</{style}>" + (f"<sub>{' '.join(parts)}</sub>" if parts else "")


def _leaf(node: Expression) -> str:
    if node.op == "constant":
        return f"{node.attribute:g}".replace("-", "−")
    return symbol(str(node.attribute))


HTML = Notation(_INFIX | _CALLS | {name: Form("{0}") for name in LEAVES}, "({})", _leaf)


def _number(name: str, ago: int = 0) -> str:
    """A place for the number that a value had in this step, or in the one before."""
    return f'<data data-value="{html.escape(name)}" data-ago="{ago}"></data>'


def equation_rows(graph: Graph) -> list[dict[str, str]]:
    """For each equation its name, its left side, and its right side in symbols and in numbers.

    The operand of an activation is one number, the value before it: that is what a recording holds.
    """
    rows = equations(graph)
    names = {value: left for left, value in rows if value.args}
    recorded = dict(graph.named)

    def spelled(node: Expression) -> str | None:
        if node in names:
            return symbol(names[node], "t")
        if node.op == "input":
            return "<i>t</i>" if node.attribute == "t" else symbol(str(node.attribute), "t")
        return symbol(str(node.attribute), "t−1") if node.op == "state" else None

    def counted(node: Expression) -> str | None:
        if node in names and names[node] in recorded:
            return _number(names[node])
        return _number(str(node.attribute), 1) if node.op == "state" else spelled(node)

    found = []
    for left, right in rows:
        inner = right.args[0] if right.op in ACTIVATIONS else None
        before = {inner: _number(f"{left}_pre")} if inner is not None and inner.args else {}
        numbers = HTML.render(right, lambda node, b=before: b.get(node) or counted(node))  # type: ignore[misc]
        row = {"name": left, "left": symbol(left, "t"), "symbols": HTML.render(right, spelled)}
        found.append(row | {"numbers": numbers})
    return found


def _tree(node: Expression, names: Mapping[Expression, str]) -> list[Any]:
    """An expression over named values and states, as data; what else it reads is unknown."""
    if node in names:
        return ["value", names[node]]
    if node.op == "state":
        return ["before", str(node.attribute)]
    if node.op == "constant":
        return ["number", float(node.attribute)]
    if not node.args or node.op in ("matmul", "outer", "transpose"):
        return ["unknown"]
    return [node.op, *(_tree(arg, names) for arg in node.args)]


def flows(graph: Graph) -> list[dict[str, Any]]:
    """What a step keeps of each memory, writes to it, and lets out, as trees to compute with."""
    names = {value: name for name, value in graph.named if value.args}
    found: list[dict[str, Any]] = [
        {
            "kind": "memory",
            "state": memory.state,
            "keep": _tree(memory.keep, names),
            "write": _tree(memory.write, names),
        }
        for memory in find_memories(graph)
    ]
    gates = [a for a in graph.output.args if names.get(a) in find_gates(graph)]
    if graph.output.op == "multiply" and gates:
        gate, of = names[gates[0]], names.get(graph.output, "output")
        found.append({"kind": "output", "state": of, "gate": gate})
    return found

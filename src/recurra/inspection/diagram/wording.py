"""The words of a diagram: what stands in a node, and names with their subscripts."""

from __future__ import annotations

from collections.abc import Callable

from recurra.graph.expression import Expression
from recurra.graph.notation import ATOM, PRODUCT, SIGN, SUM, Form, Notation
from recurra.graph.operations import LEAVES

GREEK = {
    **{"alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ"},
    **{"eta": "η", "theta": "θ", "kappa": "κ", "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ"},
    **{"pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "chi": "χ", "psi": "ψ"},
    "omega": "ω",
}
LONGEST = 9  # characters in a node; what is longer is an unnamed function
UNNAMED = "φ"
NORM = "norm"
_SYMBOLS = {"sigmoid": "σ", "sqrt": "√", "softplus": "softplus", "sum": "Σ", "negate": "−"}
HOLE = "·"  # stands for a value without a name

_FORMS = {
    "add": Form("{0}+{1}", SUM, (SUM, PRODUCT)),
    "subtract": Form("{0}−{1}", SUM, (SUM, PRODUCT)),
    "multiply": Form("{0}{1}", PRODUCT, (PRODUCT, SIGN)),
    "divide": Form("{0}/{1}", PRODUCT, (PRODUCT, SIGN)),
    "matmul": Form("{0}{1}", PRODUCT, (PRODUCT, SIGN)),
    "greater": Form("{0}>{1}", 0, (SUM, SUM)),
    "negate": Form("−{0}", SIGN, (SIGN,)),
    "sqrt": Form("√{0}", PRODUCT, (ATOM,)),
    "sigmoid": Form("σ({0})"),
    "maximum": Form("max({0},{1})"),
    "minimum": Form("min({0},{1})"),
    "where": Form("where({0},{1},{2})"),
    "outer": Form("{0}⊗{1}", PRODUCT, (PRODUCT, SIGN)),
    "transpose": Form("{0}ᵀ"),
    "spread": Form("{0}"),
}
_CALLS = ("tanh", "relu", "softplus", "exp", "log", "floor", "sum", "mean", "max")


def _leaf(node: Expression) -> str:
    return f"{node.attribute:g}" if node.op == "constant" else symbol(str(node.attribute))


_SHORT = Notation(
    _FORMS | {op: Form(f"{op}({{0}})") for op in _CALLS} | {op: Form("{0}") for op in LEAVES},
    "({})",
    _leaf,
)


def parts(name: str, time: str = "") -> tuple[str, str]:
    """A name as its base and its subscript: i_d at t -> ("i", "d,t"); tau -> ("τ", "")."""
    base, *below = name.split("_")
    return GREEK.get(base, base), ",".join([*filter(None, below), *filter(None, [time])])


def symbol(name: str) -> str:
    """A name in plain letters, its subscript behind it."""
    base, below = parts(name)
    return base + below


def function_label(node: Expression, arg: Expression, name: str = "") -> str:
    """What stands in the node of a function of one value: tanh, 1−, ×0.1, √(1−a²).

    Args:
        node: the function.
        arg: the value it reads.
        name: the paper's name of that value.
    """
    simple = _simple(node, arg)
    if simple:
        return simple
    hole = symbol(name) if name else HOLE

    def known(part: Expression) -> str | None:
        return hole if part is arg else _power(part, known)

    text = _SHORT.render(node, known)
    text = text.replace(f"({hole})", "") if text.count(hole) == 1 else text
    between = {part.op for part in above(node, arg)}
    if len(text) <= LONGEST and not between & {"parameter", "fixed"}:
        return text
    return NORM if {"mean", "sqrt", "divide"} <= between else UNNAMED


def above(node: Expression, arg: Expression) -> list[Expression]:
    """All parts of `node` down to `arg`, which is not among them; leaves too."""
    found, stack = [], [node]
    while stack:
        part = stack.pop()
        if part is not arg:
            found.append(part)
            stack.extend(part.args)
    return found


def _power(node: Expression, known: Callable[[Expression], str | None]) -> str | None:
    """A square."""
    if node.op == "multiply" and node.args[0] is node.args[1]:
        inside = known(node.args[0])
        return f"{inside}²" if inside else None
    return None


def _simple(node: Expression, arg: Expression) -> str:
    """The label of one operation on `arg`, where it reads well without it."""
    if len(node.args) == 1 and node.args[0] is arg:
        return _SYMBOLS.get(node.op, node.op)
    if len(node.args) != 2 or node.args.count(arg) != 1:
        return ""
    other = node.args[1 - node.args.index(arg)]
    if other.op != "constant":
        return ""
    number, left = f"{other.attribute:g}".replace("-", "−"), node.args[0] is arg
    forms = {
        "multiply": f"×{number}",
        "add": f"+{number}",
        "subtract": f"−{number}" if left else f"{number}−",
        "divide": f"÷{number}" if left else f"{number}÷",
        "greater": f">{number}" if left else f"<{number}",
        "maximum": f"max {number}",
        "minimum": f"min {number}",
    }
    return forms.get(node.op, "")

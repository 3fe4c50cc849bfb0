"""What follows from a graph: what leaves the time loop, the stages, the weights, linear or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum

from recurra.graph.expression import Expression, walk
from recurra.graph.graph import Graph
from recurra.graph.operations import REDUCTIONS


class Variation(IntEnum):
    """How often a node must be computed; a node varies as much as its most varying operand."""

    CONSTANT = 0  # weights only: once for a call
    PARALLEL = 1  # inputs, but no state: for all steps at once
    STEP = 2  # a state: step by step


_LEAF_VARIATION = {
    "input": Variation.PARALLEL,
    "given": Variation.PARALLEL,
    "state": Variation.STEP,
}


def variation(nodes: Iterable[Expression]) -> dict[Expression, Variation]:
    """For each node how often it must be computed. `nodes` come operands first."""
    found: dict[Expression, Variation] = {}
    for node in nodes:
        own = _LEAF_VARIATION.get(node.op, Variation.CONSTANT)
        found[node] = max([own, *(found[arg] for arg in node.args)])
    return found


def stages(graph: Graph) -> list[list[Expression]]:
    """The recurrent products and reductions of a step, in groups that wait for one another.

    A product or reduction needs every unit of its operand, so it must wait until all of them are
    there. An LSTM has one stage; a GRU with its reset before the product has two.
    """
    varies = variation(graph.nodes)
    depth: dict[Expression, int] = {}
    groups: dict[int, list[Expression]] = {}
    for node in graph.nodes:
        level = max((depth[arg] for arg in node.args), default=0)
        if varies[node] is Variation.STEP and node.op in ("matmul", *REDUCTIONS):
            level += 1
            groups.setdefault(level, []).append(node)
        depth[node] = level
    return [groups[level] for level in sorted(groups)]


def hoisted(graph: Graph) -> list[Expression]:
    """The products that leave the time loop, because their operand depends on no state."""
    varies = variation(graph.nodes)
    return [n for n in graph.nodes if n.op == "matmul" and varies[n] is Variation.PARALLEL]


def below(graph: Graph) -> dict[Expression, str]:
    """The inputs that bring a value of the layer below, as `c_below` brings c, and its name."""
    end = "_below"
    return {
        leaf: str(leaf.attribute).removesuffix(end)
        for leaf in graph.inputs
        if str(leaf.attribute).endswith(end)
    }


def parameter_counts(graph: Graph) -> Counter[tuple[str, ...]]:
    """How many weights there are of each shape: {("H", "I"): 4, ("H", "H"): 4, ("H",): 4}."""
    return Counter(graph.shape(parameter) for parameter in graph.parameters)


def parameters_per_unit(graph: Graph) -> str:
    """The number of weights for each unit as a formula, such as "4I + 4H + 4"."""
    terms: Counter[str] = Counter()
    for shape, count in parameter_counts(graph).items():
        rest = list(shape)
        if "H" in rest:
            rest.remove("H")
        terms["".join(sorted(rest)) if "H" in shape else "".join(shape) + "/H"] += count
    order = sorted(
        terms, key=lambda term: (len(term) == 0, term.endswith("/H"), "I" not in term, term)
    )
    return " + ".join(f"{terms[t] if terms[t] > 1 or t[:1] in ('', '/') else ''}{t}" for t in order)


def parameter_count(graph: Graph, sizes: Mapping[str, int]) -> int:
    """The number of trained values for given sizes, such as {"I": 64, "H": 300}."""
    total = 0
    for shape, count in parameter_counts(graph).items():
        product = count
        for size in shape:
            product *= sizes[size]
        total += product
    return total


def is_linear(graph: Graph) -> bool:
    """Whether the new states are linear in the old ones, so that the time loop could be a scan."""
    varies = variation(graph.nodes)
    linear: dict[Expression, bool] = {}
    for node in graph.nodes:
        moving = [arg for arg in node.args if varies[arg] is Variation.STEP]
        linear[node] = _keeps_linear(node, moving) and all(linear[arg] for arg in moving)
    return all(linear[update] for update in graph.updates)


def _keeps_linear(node: Expression, moving: list[Expression]) -> bool:
    if not moving or node.op in ("add", "subtract", "negate", "sum", "mean", "spread"):
        return True
    if node.op == "multiply":
        return len(moving) == 1
    if node.op in ("divide", "where"):
        return node.args[0] not in moving if node.op == "where" else node.args[1] not in moving
    return node.op == "matmul"


def uses(nodes: Iterable[Expression]) -> dict[Expression, list[Expression]]:
    """For each node, the nodes that read it."""
    readers: dict[Expression, list[Expression]] = {}
    for node in nodes:
        for arg in dict.fromkeys(node.args):
            readers.setdefault(arg, []).append(node)
    return readers


def biases(graph: Graph) -> frozenset[Expression]:
    """The vectors that are only ever added."""
    readers = uses(walk(graph.roots))
    return frozenset(
        p
        for p in graph.parameters
        if len(graph.shape(p)) == 1 and all(r.op in ("add", "subtract") for r in readers.get(p, ()))
    )

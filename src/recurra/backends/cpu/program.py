"""A step program: what a fused kernel computes in each step, in either direction.

Both directions are the same thing to a kernel: sequences that are read, states that are carried,
values that are stored. The backward program is written from the gradient rules of the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from recurra.graph import Expression, Graph
from recurra.graph.facts import Variation, uses, variation
from recurra.graph.operations import ELEMENTWISE, REDUCTIONS
from recurra.graph.shapes import Shape
from recurra.graph.simplify import gather_sums, simplify


@dataclass(frozen=True, eq=False)
class StepProgram:
    """One step as a kernel sees it.

    Attributes:
        reads: values given for every step, each (T, B, size).
        constants: vectors and scalars that are the same in every step and row.
        matrices: the left sides of products.
        states: values carried from step to step.
        updates: their values after the step.
        stores: values written for every step, each (T, B, size).
        shapes: of every node.
        names: what the equations call a node, where they name it.
        kept: stores that nobody but the backward program reads.
        overwritten: reads in whose memory some of the stores may lie, unit by unit.
    """

    reads: tuple[Expression, ...]
    constants: tuple[Expression, ...]
    matrices: tuple[Expression, ...]
    states: tuple[Expression, ...]
    updates: tuple[Expression, ...]
    stores: tuple[Expression, ...]
    shapes: Mapping[Expression, Shape]
    names: Mapping[Expression, str] = field(default_factory=dict)
    kept: frozenset[Expression] = frozenset()
    overwritten: tuple[Expression, ...] = ()

    @property
    def leaves(self) -> frozenset[Expression]:
        """What the kernel is given."""
        return frozenset((*self.reads, *self.constants, *self.matrices, *self.states))

    @cached_property
    def nodes(self) -> list[Expression]:
        """Everything the kernel computes, operands first."""
        return walk_above((*self.updates, *self.stores), self.leaves)


def walk_above(roots: Iterable[Expression], leaves: frozenset[Expression]) -> list[Expression]:
    """The nodes under `roots` above the `leaves`, operands first, without the leaves."""
    order: list[Expression] = []
    seen: set[Expression] = set(leaves)
    stack = [(root, False) for root in roots]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node not in seen and node.args:
            seen.add(node)
            stack.append((node, True))
            stack.extend((arg, False) for arg in node.args)
    return order


def normal(graph: Graph) -> Graph:
    """The form of a graph that kernels compute."""
    return simplify(gather_sums(simplify(graph)))


def is_count(node: Expression) -> bool:
    """Whether a reduction goes over equal numbers, so that only their count is open."""
    return node.op in REDUCTIONS and node.args[0].op == "spread" and not node.args[0].args[0].args


def is_reduction(node: Expression) -> bool:
    """Whether a node needs all units of a value in memory."""
    return node.op in REDUCTIONS and not is_count(node)


def given_out(graph: Graph) -> tuple[Expression, ...]:
    """What the loop gives out, each once: the output, then what is shown and needs the loop."""
    varies = variation(graph.nodes)
    shown = (node for node in graph.outputs if varies[node] is Variation.STEP)
    return tuple(dict.fromkeys((graph.output, *shown)))


def drawn_in(graph: Graph) -> set[Expression]:
    """What depends on x unit by unit, and only the step reads: kernels compute it as they go.

    All of x and of its products is there before the loop; so could this be, but for a pass through
    memory, and one more on the way back. What another product reads must be there before.
    """
    varies, readers = variation(graph.nodes), uses(graph.nodes)
    found: set[Expression] = set()
    for node in graph.nodes:
        if varies[node] is Variation.PARALLEL and node.op in ELEMENTWISE and node.op != "where":
            args = [arg for arg in node.args if varies[arg] is not Variation.CONSTANT]
            is_sum = node.op == "add" and any(arg.op == "matmul" for arg in args)
            if not is_sum and all(_of_x(arg) or arg in found for arg in args):
                found.add(node)
    for node in reversed(graph.nodes):
        if node in found and any(
            varies[reader] is not Variation.STEP and reader not in found
            for reader in readers.get(node, [])
        ):
            found.remove(node)
    return found


def _of_x(node: Expression) -> bool:
    """Whether a value is x, or a product that the front computes with what is added to it."""
    if node.op == "input":
        return node.attribute == "x"
    if node.op == "add":
        return any(arg.op == "matmul" for arg in node.args)
    return node.op == "matmul"


def forward_program(graph: Graph) -> StepProgram:
    """The forward direction of a graph that is simplified already, keeping nothing."""
    nodes, outputs = graph.nodes, given_out(graph)
    varies = variation(nodes)
    step = {node for node in nodes if varies[node] is Variation.STEP and node.args}
    step |= drawn_in(graph)
    roots = [*graph.updates, *outputs]
    border = dict.fromkeys([arg for node in nodes if node in step for arg in node.args] + roots)
    outside = [n for n in border if n not in step and varies[n] is not Variation.STEP]
    matrices = tuple(node for node in outside if len(graph.shapes[node]) == 2)
    constants = [
        n
        for n in outside
        if varies[n] is Variation.CONSTANT and n not in matrices and n.op != "constant"
    ]
    return StepProgram(
        reads=tuple(n for n in outside if varies[n] is Variation.PARALLEL),
        constants=tuple(constants),
        matrices=matrices,
        states=graph.states,
        updates=graph.updates,
        stores=tuple(node for node in outputs if node not in graph.updates),
        shapes=graph.shapes,
        names={node: name for node, name in graph.names.items() if node.args}
        | {state: f"{state.attribute}.before" for state in graph.states},
    )

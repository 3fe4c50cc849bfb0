"""A step program: what a fused kernel computes in each step, in either direction.

Both directions are the same thing to a kernel: sequences that are read, states that are carried,
values that are stored. The backward program is written from the gradient rules of the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from recurra.graph import Expression, Graph
from recurra.graph.chunkwise import is_between
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
        matrices: the left sides of products, which are the same in every step and row.
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

    def is_matrix(self, node: Expression) -> bool:
        """Whether each row of the batch has a matrix of its own; see `MatrixWriter`."""
        return len(self.shapes[node]) == 2

    @cached_property
    def has_matrices(self) -> bool:
        """Whether it computes any matrix."""
        return any(map(self.is_matrix, self.nodes))

    @cached_property
    def apart(self) -> frozenset[Expression]:
        """What is computed from whole values in memory to memory, not unit by unit.

        Reductions, products with matrices of a row, and such matrices mirrored where not only
        products read them.
        """
        read = {arg for node in self.nodes for arg in right_sides(node)}
        read.update((*self.updates, *self.stores))
        return frozenset(
            node
            for node in self.nodes
            if is_reduction(node)
            or (node.op == "matmul" and node.args[0] not in self.matrices)
            or (node.op == "transpose" and node in read)
        )

    def whole(self, node: Expression) -> tuple[Expression, ...]:
        """The operands that must be in memory, all of them, before a node can be computed.

        Of equations of matrices these are scalars too: nobody computes them once for each unit.
        """
        if node.op == "matmul" and node.args[0] not in self.matrices:
            return unmirrored(node.args[0]), node.args[1]
        if node.op == "matmul":
            return node.args[1:]
        if node in self.apart or node.op == "outer":
            return node.args
        if self.is_matrix(node):
            return tuple(arg for arg in node.args if arg.args and not self.shapes[arg])
        return ()


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


def unmirrored(matrix: Expression) -> Expression:
    """A matrix, or what it is the mirror image of."""
    return matrix.args[0] if matrix.op == "transpose" else matrix


def left_sides(nodes: Iterable[Expression]) -> set[Expression]:
    """The matrices of products."""
    return {node.args[0] for node in nodes if node.op == "matmul"}


def right_sides(node: Expression) -> tuple[Expression, ...]:
    """The operands of a node, but for the matrix of a product."""
    return node.args[1:] if node.op == "matmul" else node.args


def drawn_in(graph: Graph) -> set[Expression]:
    """What depends on x unit by unit, and only the step reads: kernels compute it as they go.

    All of x and of its products is there before the loop; so could this be, but for a pass through
    memory, and one more on the way back. What another product reads must be there before. Matrices
    of a row, and what follows from them, are never there before: they are too large to keep.
    """
    varies, readers = variation(graph.nodes), uses(graph.nodes)
    found: set[Expression] = set()
    for node in graph.nodes:
        follows = len(graph.shapes[node]) == 2 or found.intersection(node.args)
        if varies[node] is Variation.PARALLEL and node.args and follows:
            found.add(node)
    matrices = frozenset(found)
    for node in graph.nodes:
        if varies[node] is Variation.PARALLEL and node.op in ELEMENTWISE and node.op != "where":
            args = [arg for arg in node.args if varies[arg] is not Variation.CONSTANT]
            is_sum = node.op == "add" and any(arg.op == "matmul" for arg in args)
            if not is_sum and all(_of_x(arg) or arg in found for arg in args):
                found.add(node)
    for node in reversed(graph.nodes):
        if node in found - matrices and any(
            varies[reader] is not Variation.STEP and reader not in found
            for reader in readers.get(node, [])
        ):
            found.remove(node)
    return found


def _of_x(node: Expression) -> bool:
    """Whether a value is x, or a product that the front computes with what is added to it."""
    if node.op == "input":
        return node.attribute == "x" or is_between(node)
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
    left = left_sides(node for node in nodes if node in step)
    values = {*roots, *(arg for node in nodes if node in step for arg in right_sides(node))}
    constants = [
        n for n in outside if varies[n] is Variation.CONSTANT and n in values and n.op != "constant"
    ]
    return StepProgram(
        reads=tuple(n for n in outside if varies[n] is Variation.PARALLEL),
        constants=tuple(constants),
        matrices=tuple(n for n in outside if n in left and varies[n] is Variation.CONSTANT),
        states=graph.states,
        updates=graph.updates,
        stores=tuple(node for node in outputs if node not in graph.updates),
        shapes=graph.shapes,
        names={node: name for node, name in graph.names.items() if node.args}
        | {state: f"{state.attribute}.before" for state in graph.states},
    )

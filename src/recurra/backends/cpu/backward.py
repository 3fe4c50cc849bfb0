"""The backward direction of a graph as a step program, and what the forward one keeps for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

from recurra.backends.cpu.clocks import Clock, clock_of
from recurra.backends.cpu.program import (
    StepProgram,
    drawn_in,
    given_out,
    left_sides,
    right_sides,
)
from recurra.graph import Expression, Graph, constant
from recurra.graph.expression import substitute, walk
from recurra.graph.facts import Variation, variation
from recurra.graph.gradients import adjoints
from recurra.graph.rewrite import is_layers_own
from recurra.graph.shapes import Shape
from recurra.graph.simplify import gather_sums, simplify

# Cheap to compute again in the backward direction; other results are kept by the forward one.
CHEAP = frozenset(
    "add subtract multiply negate where greater maximum minimum relu spread".split()  # noqa: SIM905
)


@dataclass(frozen=True, eq=False)
class Product:
    """One product of the forward program.

    Attributes:
        matrix: its left side.
        operand: its right side, in the forward program.
        value: the same in the backward program.
        gradient: of its result.
    """

    matrix: Expression
    operand: Expression
    value: Expression
    gradient: Expression


@dataclass(frozen=True, eq=False)
class Backward:
    """The backward direction.

    Attributes:
        program: reads `values` and `d_outputs`, carries gradients of the states, stores the others.
        kept: what the forward program must store: the least that cannot cheaply be computed again.
        values: (forward value, the leaf that stands for it), for everything the program reads.
        d_outputs: the leaves that bring the gradients of what the loop gives out.
        reads: for each read of the forward program, its gradient (None: nobody asks).
        constants: for each constant of the forward program, what one step adds to its gradient.
        products: every product, as its matrix gets a gradient from it.
        clocks: for gradients of products that are 0 where units rest, when these move.
    """

    program: StepProgram
    kept: tuple[Expression, ...]
    values: tuple[tuple[Expression, Expression], ...]
    d_outputs: tuple[Expression, ...]
    reads: tuple[Expression | None, ...]
    constants: tuple[Expression | None, ...]
    products: tuple[Product, ...]
    clocks: Mapping[Expression, Clock]


def backward(graph: Graph, forward: StepProgram) -> Backward:
    """Differentiate a step: gradients for reads, constants, products and states."""
    shapes: dict[Expression, Shape] = dict(graph.shapes)
    d_after = tuple(Expression("state", (), f"d_{s.attribute}") for s in graph.states)
    outputs = given_out(graph)
    d_outputs = tuple(Expression("input", (), f"d_output_{k}") for k, _ in enumerate(outputs))
    shapes |= {d: graph.shape(s) for d, s in zip(d_after, graph.states, strict=True)}
    shapes |= {d: graph.shapes[node] for d, node in zip(d_outputs, outputs, strict=True)}
    seeds: dict[Expression, Expression] = {}
    values_and_gradients = zip((*graph.updates, *outputs), (*d_after, *d_outputs), strict=True)
    for value, d in values_and_gradients:
        seeds[value] = seeds[value] + d if value in seeds else d
    gradients = adjoints(forward.nodes, seeds, shapes, left_out=forward.matrices)

    # As weights are stored, so that gradients of one parameter lie side by side.
    order = {parameter: k for k, parameter in enumerate(graph.parameters)}
    products = [
        node
        for node in forward.nodes
        if node.op == "matmul" and node.args[0] in forward.matrices and node in gradients
    ]
    products.sort(key=lambda product: order.get(product.args[0], len(order)))
    operands = [node.args[1] for node in products]
    reads = [None if _is_mask(r) else gradients.get(r) for r in forward.reads]
    constants = [gradients.get(c) if _trained(c) else None for c in forward.constants]
    before = [gradients.get(s, _zero(graph.shape(s))) for s in graph.states]
    roots = [*before, *(gradients[p] for p in products), *operands]
    roots += [g for g in (*reads, *constants) if g is not None]

    values, kept = _values(roots, graph, forward)
    leaves = {v: Expression("input", (), f"v{k}") for k, v in enumerate(values)}
    shapes |= {leaf: shapes[value] for value, leaf in leaves.items()}
    new = _normal(substitute(roots, leaves), d_after, (*leaves.values(), *d_outputs), shapes)
    rest = iter(new[len(before) :])
    d_products = [next(rest) for _ in products]
    new_operands = [next(rest) for _ in operands]
    d_reads = tuple(None if g is None else next(rest) for g in reads)
    d_constants = tuple(None if g is None else next(rest) for g in constants)

    stored = [*d_products, *(g for g in (*d_reads, *d_constants) if g is not None)]
    stored += [o for o in new_operands if o not in leaves.values()]
    program = _program(new[: len(before)], stored, d_after, shapes)
    known = {gradient: clock_of(program, gradient) for gradient in d_products}
    return Backward(
        program=program,
        kept=kept,
        values=tuple(leaves.items()),
        d_outputs=d_outputs,
        reads=d_reads,
        constants=d_constants,
        products=tuple(
            Product(node.args[0], node.args[1], value, gradient)
            for node, value, gradient in zip(products, new_operands, d_products, strict=True)
        ),
        clocks={gradient: clock for gradient, clock in known.items() if clock is not None},
    )


def _zero(shape: Shape) -> Expression:
    """Zero for every unit, where nothing reads a state."""
    sides = tuple(Expression("spread", (constant(0),), letter) for letter in shape)
    return Expression("outer", sides) if len(sides) == 2 else (*sides, constant(0))[0]


def _is_mask(read: Expression) -> bool:
    """Whether a read comes from leaves alone that a layer makes, and nobody differentiates."""
    leaves = [leaf for leaf in _leaves(read) if leaf.op in ("input", "given")]
    return not _trained(read) and all(is_layers_own(leaf) for leaf in leaves)


def _trained(value: Expression) -> bool:
    return any(leaf.op == "parameter" for leaf in _leaves(value))


def _leaves(value: Expression) -> Iterable[Expression]:
    return (node for node in walk((value,)) if not node.args)


def _values(
    roots: Iterable[Expression], graph: Graph, forward: StepProgram
) -> tuple[tuple[Expression, ...], tuple[Expression, ...]]:
    """The forward values that gradients read: all of them, and those that must be kept for it.

    Matrices of rows are always computed again: they are too large to keep.
    """
    computed, drawn = set(forward.nodes), drawn_in(graph)
    matrices = {node for node in forward.nodes if forward.is_matrix(node)}
    there = {*forward.reads, *graph.states, *graph.updates}
    needed: dict[Expression, None] = {}
    kept: dict[Expression, None] = {}
    stack = [root for root in roots]
    seen: set[Expression] = set()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in there:
            needed[node] = None
        elif node in computed - matrices and (_is_dear(node, drawn) or not _again(node, there)):
            needed[node] = kept[node] = None
        else:
            stack.extend(node.args)
    return tuple(needed), tuple(kept)


def _is_dear(node: Expression, drawn: Set[Expression]) -> bool:
    """Whether a function of x alone is kept; what it is a function of need not be then."""
    return node in drawn and node.op not in CHEAP


def _again(node: Expression, there: set[Expression]) -> bool:
    """Whether a forward value is computed again rather than kept."""
    if node.op in ("add", "subtract") and any(arg.op == "matmul" for arg in node.args):
        return False
    if node.op in CHEAP:
        return True
    return node.op != "matmul" and all(arg in there or arg.op == "constant" for arg in node.args)


def _normal(
    roots: tuple[Expression, ...],
    states: tuple[Expression, ...],
    inputs: tuple[Expression, ...],
    shapes: dict[Expression, Shape],
) -> tuple[Expression, ...]:
    """Gradients simplified, their sums gathered; their shapes are learned."""
    count = len(states)
    graph = Graph(
        name="backward",
        inputs=inputs,
        states=states,
        updates=roots[:count],
        output=roots[0],
        parameters=(),
        named=tuple((f"r{k}", root) for k, root in enumerate(roots[count:])),
        leaf_shapes=tuple(
            (leaf, shapes[leaf]) for leaf in walk(roots) if not leaf.args and leaf in shapes
        ),
    )
    graph = gather_sums(simplify(graph))
    shapes |= graph.shapes
    return (*graph.updates, *(value for _, value in graph.named))


def _program(
    before: tuple[Expression, ...],
    stored: list[Expression],
    d_after: tuple[Expression, ...],
    shapes: dict[Expression, Shape],
) -> StepProgram:
    roots = (*before, *dict.fromkeys(stored))
    nodes = walk(roots)
    varies = variation(nodes)
    moving = [n for n in nodes if varies[n] is not Variation.CONSTANT]
    border = dict.fromkeys(
        arg
        for n in moving
        for arg in n.args
        if varies[arg] is Variation.CONSTANT and any(leaf.op != "constant" for leaf in _leaves(arg))
    )
    left = left_sides(moving)
    values = {*roots, *(arg for n in moving for arg in right_sides(n))}
    return StepProgram(
        reads=tuple(n for n in nodes if n.op == "input"),
        constants=tuple(n for n in border if n in values),
        matrices=tuple(n for n in border if n in left),
        states=d_after,
        updates=before,
        stores=tuple(dict.fromkeys(stored)),
        shapes=shapes,
    )

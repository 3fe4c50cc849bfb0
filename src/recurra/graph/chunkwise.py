"""The chunkwise form of a step whose state is a matrix that only ever fades and takes up products.

Where M[t] = a[t] M[t-1] + c[t] outer(u[t], w[t]), and nothing on the right follows from M, a read
M[t] @ q[t] is the sum over s of (the factors a since s) c[s] (w[s] . q[t]) u[s]: products of whole
sequences with one another, and no matrix in any step. So the step falls into three parts: what
comes before the memory, the memory, and what follows from its reads.

Schlag et al. 2021, arXiv:2102.11174 (outer products as a memory); Hua et al. 2022, arXiv:2202.10447
(chunks); Beck et al. 2024, arXiv:2405.04517, appendix (the parallel form of the mLSTM).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from recurra.graph.affine import Update, affine
from recurra.graph.expression import (
    Expression,
    rebuild,
    substitute,
    walk,
    with_args,
)
from recurra.graph.facts import Variation, variation
from recurra.graph.graph import Graph
from recurra.graph.shapes import Shape
from recurra.graph.simplify import simplify


@dataclass(frozen=True)
class Read:
    """A product with the memory.

    Attributes:
        product: its node; its result is the input `name` of what comes after.
        name: of this input.
        matrix: what is read: the memory before the step, after it, or on the way.
        mirrored: whether columns of the matrix meet the query.
        query: the vector.
    """

    product: Expression
    name: str
    matrix: Update
    mirrored: bool
    query: Expression


@dataclass(frozen=True)
class Product:
    """A product of an input and weights, as a value of each step.

    Attributes:
        node: it, with the bias.
        name: of the input that it is in the parts.
        weights: a matrix; or a vector, whose sum with the input is a scalar.
        operand: the input.
        bias: what is added; None if there is nothing.
    """

    node: Expression
    name: str
    weights: Expression
    operand: Expression
    bias: Expression | None


@dataclass(frozen=True, eq=False)
class Chunkwise:
    """A step in three parts.

    Attributes:
        graph: the step.
        memory: the state that is a matrix.
        update: of the memory.
        reads: products with it.
        products: of inputs and weights; each is an input of both graphs.
        before: carries the states that do not follow from the memory; shows `passed`.
        after: carries those that do; reads what was passed and what was read.
        passed: for each value that leaves `before` its name there.
    """

    graph: Graph
    memory: Expression
    update: Update
    reads: tuple[Read, ...]
    products: tuple[Product, ...]
    before: Graph
    after: Graph
    passed: Mapping[Expression, str]


@lru_cache(maxsize=256)
def chunkwise(graph: Graph) -> Chunkwise | None:
    """The chunkwise form of a step by its first memory that has one; None if none has."""
    if all(len(graph.shape(state)) < 2 for state in graph.states):
        return None
    graph = _with_scaled_matrices(simplify(graph))
    for memory, update in zip(graph.states, graph.updates, strict=True):
        if len(graph.shape(memory)) == 2:
            found = _Finder(graph, memory, update).found()
            if found is not None:
                return found
    return None


class _Finder:
    def __init__(self, graph: Graph, memory: Expression, update: Expression) -> None:
        self.graph, self.memory, self.root = graph, memory, update
        self.varies = variation(graph.nodes)
        self.follows = self._follows()

    def _follows(self) -> set[Expression]:
        """What depends on the memory, in this step or through states in a later one."""
        found = {self.memory}
        while True:
            for node in self.graph.nodes:
                if found.intersection(node.args):
                    found.add(node)
            pairs = zip(self.graph.states, self.graph.updates, strict=True)
            new = {s for s, update in pairs if update in found} - found
            if not new:
                return found
            found |= new

    def found(self) -> Chunkwise | None:
        """See `chunkwise`."""
        update = self._affine(self.root)
        if update is None or update.outer is None:
            return None
        reads = self._reads(update)
        if reads is None or not reads:
            return None
        values = [update.decay, update.rate, *update.outer.args]
        for read in reads:
            values += [read.query, read.matrix.decay, read.matrix.rate]
        # Some of them are new: what they are made of tells what they follow from.
        if not self.follows.isdisjoint(walk(values)) or not all(map(self._is_there, values)):
            return None
        return self._divided(update, reads, [v for v in values if v.op != "constant"])

    def _is_there(self, value: Expression) -> bool:
        """Whether a value is a number, or one of each step."""
        return value.op == "constant" or self._varies(value) is not Variation.CONSTANT

    def _varies(self, value: Expression) -> Variation:
        return variation(walk((value,)))[value]

    def _affine(self, node: Expression) -> Update | None:
        return affine(node, self.memory, self.graph.shapes)

    def _reads(self, update: Update) -> tuple[Read, ...] | None:
        """The products with the memory; None if something else reads it."""
        outer = update.outer
        found: dict[Expression, Read] = {}
        roots = [u for u in self.graph.updates if u is not self.root]
        stack, seen = [*roots, *self.graph.outputs], set()
        while stack:
            node = stack.pop()
            if node in seen or node not in self.follows:
                continue
            seen.add(node)
            if len(self.graph.shapes[node]) == 2:
                return None
            if node.op == "matmul" and node.args[0] in self.follows:
                left, query = node.args
                mirrored = left.op == "transpose"
                matrix = self._affine(left.args[0] if mirrored else left)
                if matrix is None or matrix.outer not in (None, outer):
                    return None
                found[node] = Read(node, self._name("read", len(found)), matrix, mirrored, query)
                stack.append(query)
            else:
                stack += node.args
        return tuple(found.values())

    def _divided(
        self, update: Update, reads: tuple[Read, ...], values: list[Expression]
    ) -> Chunkwise:
        graph = self.graph
        own = dict(zip(graph.states, graph.updates, strict=True))
        mine = [state for state in graph.states if state not in self.follows]
        others = [s for s in graph.states if s in self.follows and s is not self.memory]
        roots = (*(own[state] for state in others), *graph.outputs)
        given = {read.product: read.name for read in reads}
        known = self._products()
        products = {product.node: product.name for product in known}
        border = self._border(roots, {*given, *products})
        leaving = dict.fromkeys(v for v in [*values, *border] if v not in products)
        passed = {node: self._name("passed", k) for k, node in enumerate(leaving)}
        after = self._part(
            others, roots, graph.shown, given | products | {n: passed[n] for n in border}
        )
        assert update.outer is not None
        in_steps = [n for n in passed if self._varies(n) is Variation.STEP]
        output = (*in_steps, update.outer.args[1])[0]
        inner = (*(own[state] for state in mine), output, *passed)
        before = self._part(mine, inner, (*passed.values(),), products)
        return Chunkwise(graph, self.memory, update, reads, known, before, after, passed)

    def _products(self) -> tuple[Product, ...]:
        """The products of inputs with weights; of a product and its sum with a bias, the sum."""
        found: dict[Expression, Product] = {}
        inside: set[Expression] = set()
        for node in reversed(self.graph.nodes):  # sums before their terms
            product = self._product(node, self._name("product", len(found)))
            if product is not None and node not in inside:
                found[node] = product
                inside.update(node.args if node.op == "add" else ())
        return tuple(found.values())

    def _product(self, node: Expression, name: str) -> Product | None:
        if node.op == "add":
            for one, bias in (node.args, node.args[::-1]):
                own = self._product(one, name)
                alike = self.graph.shapes[bias] == self.graph.shapes[node]
                if own and own.bias is None and alike and self._is_weight(bias):
                    return replace(own, node=node, bias=bias)
        if node.op == "matmul" and self._is_weight(node.args[0]):
            weights, operand = node.args
        elif node.op == "sum" and node.args[0].op == "multiply":
            weights, operand = sorted(node.args[0].args, key=self.varies.__getitem__)
        else:
            return None
        vectors = len(self.graph.shapes[operand]) == 1 and bool(self.graph.shapes[weights])
        is_input = self.varies[operand] is Variation.PARALLEL and vectors
        there = is_input and self._is_weight(weights)
        return Product(node, name, weights, operand, None) if there else None

    def _name(self, what: str, number: int) -> str:
        """Of an input between parts; a part may have a memory of its own, and parts."""
        return f"{what} {number} of {self.memory.attribute}"

    def _is_weight(self, node: Expression) -> bool:
        return self.varies[node] is Variation.CONSTANT and bool(
            [leaf for leaf in walk((node,)) if leaf.op in ("parameter", "fixed")]
        )

    def _border(self, roots: Iterable[Expression], known: set[Expression]) -> list[Expression]:
        """What comes after reads of what was before: values of the step that know no memory."""
        found: dict[Expression, None] = {}
        stack, seen = list(roots), set()
        while stack:
            node = stack.pop()
            if node in seen or node in known:
                continue
            seen.add(node)
            if node not in self.follows and self._varies(node) is Variation.STEP:
                found[node] = None
            else:
                stack += node.args
        return list(found)

    def _part(
        self,
        states: list[Expression],
        roots: tuple[Expression, ...],
        shown: tuple[str, ...],
        given: Mapping[Expression, str],
    ) -> Graph:
        """A part of the step, with these values as inputs. It carries at least a number."""
        graph, count = self.graph, len(states)
        leaves = {node: Expression("input", (), name) for node, name in given.items()}
        shapes: dict[Expression, Shape] = {leaf: graph.shapes[n] for n, leaf in leaves.items()}
        roots = substitute(roots, leaves)
        updates = roots[:count]
        if not states:
            nothing = Expression("state", (), "nothing")
            states, updates, shapes[nothing] = [nothing], (nothing,), ()
        reached = set(walk(roots))
        return replace(
            graph,
            inputs=(*graph.inputs, *leaves.values()),
            states=tuple(states),
            updates=updates,
            output=roots[count],
            parameters=tuple(p for p in graph.parameters if p in reached),
            named=tuple(zip(shown, roots[count + 1 :], strict=True)),
            leaf_shapes=(*graph.leaf_shapes, *shapes.items()),
            shown=shown,
        )


def is_between(leaf: Expression) -> bool:
    """Whether an input stands for a value that another part of a step has computed."""
    return str(leaf.attribute).startswith(("product ", "passed ", "read "))


def _with_scaled_matrices(graph: Graph) -> Graph:
    """Products with inputs that meet a weight which is a scalar: it scales the matrix instead."""
    varies, shapes = variation(graph.nodes), graph.shapes

    def change(node: Expression, args: tuple[Expression, ...]) -> Expression:
        if node.op in ("multiply", "divide") and varies.get(node) is Variation.PARALLEL:
            for k, other in enumerate(node.args):
                product = args[1 - k]
                is_scale = varies[other] is Variation.CONSTANT and not shapes[other]
                if is_scale and product.op == "matmul" and (k or node.op == "multiply"):
                    matrix = Expression(node.op, (product.args[0], args[k]))
                    return matrix @ product.args[1]
        return with_args(node, args)

    return graph.with_roots(rebuild(graph.roots, change), {})

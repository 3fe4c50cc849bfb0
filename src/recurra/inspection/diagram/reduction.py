"""A graph reduced to what a textbook draws: gates, pointwise operations, states, input, output.

A gate is an activation with the weighted sum under it, in one node; weights and biases are not
drawn. A function of one value is one node, however many operations it takes.
"""

from __future__ import annotations

from collections.abc import Iterable

from recurra.graph.expression import Expression
from recurra.graph.graph import Graph
from recurra.graph.notation import equations
from recurra.graph.text import expression_text
from recurra.inspection.diagram.elements import Diagram, Edge, Node
from recurra.inspection.diagram.joins import with_joins
from recurra.inspection.diagram.terms import Shape, Term, is_number
from recurra.inspection.diagram.wording import UNNAMED, above, function_label

LINEAR = "Σ"  # a weighted sum without an activation
_OPERATORS = {
    "divide": "÷",
    "maximum": "max",
    "minimum": "min",
    "greater": ">",
    "where": "where",
    "outer": "⊗",
    "matmul": "·",
}
_PORTS = {"input": "input", "given": "input", "state": "before"}


def reduce(graph: Graph) -> Diagram:
    """The diagram of a graph."""
    return with_joins(_Reduction(graph).run())


class _Reduction:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.shape = Shape(graph)
        self.nodes: dict[str, Node] = {}
        self.edges: list[Edge] = []
        self.keys: dict[Expression, str] = {}
        self.texts = {value: name for name, value in equations(graph)}

    def run(self) -> Diagram:
        graph = self.graph
        for leaf in (*graph.inputs, *graph.states):
            self.build(leaf)
        for _, value in graph.named:
            self.build(value)
        updates = {}
        for name, update in zip(graph.state_names, graph.updates, strict=True):
            updates[name] = self.build(update)
            self.port("after", name, updates[name])
        result = self.build(graph.output)
        name = graph.names.get(graph.output, graph.state_names[0])
        self.port("output", name, result)
        return Diagram(graph.name, self.nodes, tuple(self.edges), graph.state_names, updates)

    def port(self, kind: str, name: str, source: str) -> None:
        key = f"{kind}:{name}"
        self.nodes[key] = Node(key, kind, name, name)
        self.edges.append(Edge(source, key))

    def add(
        self, node: Expression | None, kind: str, label: str, operands: Iterable[Edge] = ()
    ) -> str:
        """A new node; the targets of `operands` become this node."""
        name = self.shape.names.get(node, "") if node is not None else ""
        number = sum(other.startswith(f"{kind}:") for other in self.nodes) + 1
        key = name or f"{kind}:{number}"
        self.nodes[key] = Node(key, kind, label, name, "" if node is None else self.text(node))
        seen = set()
        for edge in operands:
            if edge.source not in seen:
                self.edges.append(Edge(edge.source, key, edge.sign, edge.weighted))
            seen.add(edge.source)
        if node is not None:
            self.keys[node] = key
        return key

    def text(self, node: Expression) -> str:
        """The equation of a node, as `recurra show` prints it."""

        def name(part: Expression) -> str | None:
            if part.op == "state":
                return f"{part.attribute}[t-1]"
            if part.op == "input" and part.attribute != "t":
                return f"{part.attribute}[t]"
            known = part is not node and part in self.shape.names
            return f"{self.shape.names[part]}[t]" if known else None

        left = self.shape.names.get(node)
        right = expression_text(node, name)
        return f"{left}[t] = {right}" if left else right

    def build(self, node: Expression) -> str:
        """The key of the node that gives this value, drawn now if it was not before."""
        if node in self.keys:
            return self.keys[node]
        if node.op in _PORTS:
            kind, name = _PORTS[node.op], str(node.attribute)
            self.keys[node] = key = f"{kind}:{name}"
            self.nodes[key] = Node(key, kind, name, name)
            return key
        if node.op == "spread":
            return self.build(node.args[0])
        return self.gate(node) or self.function(node) or self.pointwise(node)

    def edge(self, value: Expression, sign: str = "", weighted: bool = False) -> Edge:
        return Edge(self.build(value), "", sign, weighted)

    def gate(self, node: Expression) -> str:
        """An activation of a weighted sum, or the sum alone; "" if the node is neither."""
        shape, inner = self.shape, node
        while True:
            terms = shape.terms(inner)
            if any(_has_weights(term, shape) for term in terms):
                break
            arguments = shape.moving_args(inner)
            single = len(arguments) == 1 and inner.args.count(arguments[0]) == 1
            if inner.op == "matmul" or not single or not shape.inside(arguments[0]):
                return ""
            inner = arguments[0]
        plain = [term for term in terms if term.operand is None and shape.moving[term.value]]
        read = [
            term.value if term.operand is None else term.operand
            for term in terms
            if self.moves(term)
        ]
        sources = shape.sources(node)
        if len(sources) == 1 and any(value not in sources for value in read):
            return ""
        if inner is node and plain and len(plain) < len(read):
            return self.sum(node, terms)
        label = self.linear(terms) if inner is node else function_label(node, inner)
        return self.add(
            node, "gate", label, [self.term(term) for term in terms if self.moves(term)]
        )

    def moves(self, term: Term) -> bool:
        return self.shape.moving[term.value]

    def term(self, term: Term) -> Edge:
        if term.operand is None:
            return self.edge(term.value, term.sign)
        return self.edge(term.operand, "", term.matrix)

    def linear(self, terms: list[Term]) -> str:
        """What stands in a weighted sum without an activation: its one weight, or the sum sign."""
        leaves = {
            str(arg.attribute)
            for term in terms
            for arg in term.value.args
            if arg.op in ("parameter", "fixed")
        }
        weighted = [term for term in terms if term.operand is not None]
        return f"weight:{leaves.pop()}" if len(weighted) == len(leaves) == 1 else LINEAR

    def function(self, node: Expression) -> str:
        """A node of all that happens to one value; "" if there are several."""
        sources = self.shape.sources(node)
        if len(sources) > 1:
            return ""
        if not sources:  # a named value of weights alone
            unary = len(node.args) == 1
            label = function_label(node, node.args[0]) if unary else UNNAMED
            return self.add(node, "gate", label)
        (source,) = sources
        weights = any(part.op in ("parameter", "fixed") for part in above(node, source))
        label = function_label(node, source, self.shape.names.get(source, ""))
        return self.add(node, "gate" if weights else "function", label, [self.edge(source)])

    def pointwise(self, node: Expression) -> str:
        """An operation on values of the step."""
        arguments = self.shape.moving_args(node)
        if _is_magnitude(node):
            return self.add(node, "function", "|·|", [self.edge(node.args[0])])
        if len(arguments) == 1:
            label = function_label(node, arguments[0])
            return self.add(node, "function", label, [self.edge(arguments[0])])
        if node.op in ("add", "subtract"):
            return self.sum(node, self.shape.terms(node))
        if node.op == "multiply":
            return self.product(node)
        signs = ("", "/") if node.op == "divide" else ("",) * 3
        operands = [
            self.edge(arg, sign)
            for arg, sign in zip(node.args, signs, strict=False)
            if self.shape.moving[arg]
        ]
        return self.add(node, "operator", _OPERATORS[node.op], operands)

    def product(self, node: Expression) -> str:
        factors = self.shape.factors(node)
        moving = [factor for factor in factors if self.shape.moving[factor]]
        numbers = [factor for factor in factors if not self.shape.moving[factor]]
        scale = "".join(f"{n.attribute:g}" for n in numbers if n.op == "constant")
        if len(moving) == 1 or any(not is_number(n) or n.args for n in numbers):
            scale = ""
        return self.add(node, "product", f"{scale}×", [self.edge(factor) for factor in moving])

    def sum(self, node: Expression, terms: list[Term]) -> str:
        """A sum; the terms under weights are one node before it."""
        moving = [term for term in terms if self.moves(term)]
        under = [term for term in terms if _has_weights(term, self.shape)]
        plain = [term for term in moving if term not in under]
        edges = [self.edge(term.value, term.sign) for term in plain]
        if under:
            operands = [self.term(term) for term in under if self.moves(term)]
            signs = {term.sign for term in under if self.moves(term)}
            key = self.add(None, "gate", self.linear(under), operands)
            edges.append(Edge(key, "", signs.pop() if len(signs) == 1 else ""))
        numbers = [term for term in terms if not self.moves(term) and term not in under]
        extra = "".join(
            f"{term.sign.replace('-', '−') or '+'}{term.value.attribute:g}"
            for term in numbers
            if term.value.op == "constant"
        )
        return self.add(node, "sum", extra or "+", edges)


def _has_weights(term: Term, shape: Shape) -> bool:
    """Whether weights act in a term, or it is a bias."""
    return term.operand is not None or not (shape.moving[term.value] or is_number(term.value))


def _is_magnitude(node: Expression) -> bool:
    """max(a, -a)."""
    if node.op != "maximum":
        return False
    left, right = node.args
    return right.op == "negate" and right.args[0] is left

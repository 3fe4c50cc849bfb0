"""The plan of the reference backend: a graph as three lists of instructions.

The first runs once for a call (weights only), the second for all steps at once, the third in each
step. Products of one operand become one product with the stacked matrices, and the sum that such a
product enters first becomes part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from recurra.backends.backend import Given
from recurra.backends.rules import RULES
from recurra.backends.weights import Taken, Weights
from recurra.graph import Expression, Graph
from recurra.graph.facts import Variation, uses, variation
from recurra.graph.operations import ELEMENTWISE
from recurra.graph.simplify import gather_sums, simplify

# (function, slots of its operands, slot or slots of its result)
Instruction = tuple[Callable[..., Any], tuple[int, ...], int | tuple[int, ...]]
Program = list[Instruction]
Nodes = tuple[Expression, ...]

WEIGHTS, GIVEN = 0, 1  # slots that hold no tensor


@dataclass(frozen=True)
class Read:
    """An instruction that takes a sequence.

    Attributes:
        name: of the sequence.
    """

    name: str

    def __call__(self, given: Given) -> Tensor:
        """(T, B, size)."""
        return given.sequences[self.name]


class Plan:
    """Instructions over numbered slots, made once for a graph.

    Attributes:
        constant, parallel, step: the three programs.
        per_step: (slot of all steps, slot of one step) for what the loop reads.
        states, updates, outputs: slots.
    """

    def __init__(self, graph: Graph, linear: Callable[..., Tensor] = F.linear) -> None:
        self.graph = graph
        self.linear = linear  # x, weight, bias
        self.nodes = self.graph.nodes
        self.varies = variation(self.nodes)
        self.readers = uses((*self.nodes,))
        self.roots = {*self.graph.updates, *self.graph.outputs}
        self.constant: Program = []
        self.parallel: Program = []
        self.step: Program = []
        self.per_step: list[tuple[int, int]] = []
        self.slots = 2
        self.at: dict[Expression | Nodes, int] = {}  # slot of a value, or of several stacked ones
        self.member_of: dict[Expression, Nodes] = {}
        self.in_step: dict[Expression | Nodes, int] = {}
        self._groups = self._product_groups()
        self.states: list[int] = []
        self.updates: list[int] = []
        self.outputs: list[int] = []

    @classmethod
    def of(cls, graph: Graph, linear: Callable[..., Tensor] = F.linear) -> Plan:
        """The plan of a whole step."""
        plan = cls(gather_sums(simplify(graph)), linear)
        plan.states = [plan._new(leaf) for leaf in graph.states]
        plan.updates = [plan._root(node) for node in plan.graph.updates]
        plan.outputs = [plan._root(node) for node in plan.graph.outputs]
        return plan

    @property
    def output(self) -> int:
        """The slot of what the layer above sees."""
        return self.outputs[0]

    def given_to_step(self, node: Expression) -> tuple[int, int, int]:
        """(slot, position, count) of a value a step reads: a part of a stack, or (slot, 0, 1)."""
        if node not in self.at and node not in self.member_of:
            self._emit(node)
        if node in self.at:
            return self.at[node], 0, 1
        stack = self.member_of[node]
        return self.at[stack], stack.index(node), len(stack)

    def stacked(self, nodes: Nodes) -> int:
        """The slot of weights under one another."""
        return self._stack_constants(nodes)

    def blank(self, weights: Weights, given: Given) -> list[Any]:
        """The slots of one call, with what is not computed."""
        values: list[Any] = [None] * self.slots
        values[WEIGHTS], values[GIVEN] = weights, given
        return values

    def with_given(self, values: list[Any], given: Given) -> list[Any]:
        """A copy of the slots of a call, for other things given."""
        return [values[WEIGHTS], given, *values[GIVEN + 1 :]]

    def size(self, letter: str, weights: Weights, given: Given) -> int:
        """The number behind a size letter, read off the states, inputs or weights of a call."""
        known = dict(zip(self.graph.states, given.states, strict=True))
        known |= {i: given.sequences[i.attribute] for i in self.graph.inputs}
        for leaf, tensor in known.items():
            shape = self.graph.shape(leaf)
            if letter in shape:
                return int(tensor.shape[shape.index(letter) - len(shape)])
        for leaf in self.graph.parameters:
            shape = self.graph.shape(leaf)
            if letter in shape:
                return int(weights[leaf.attribute].shape[shape.index(letter)])
        raise AssertionError(f"nothing that is given has the size {letter}")

    def _root(self, node: Expression) -> int:
        """The slot of an update or output, which has a row for each of the batch."""
        slot = self._slot(node, Variation.STEP)
        if self.varies[node] is not Variation.CONSTANT:
            return slot
        rows = self._free()
        self.constant.append((_for_each_row, (GIVEN, slot), rows))
        return rows

    def _free(self) -> int:
        self.slots += 1
        return self.slots - 1

    def _new(self, key: Expression | Nodes) -> int:
        self.at[key] = self._free()
        return self.at[key]

    def _program(self, level: Variation) -> Program:
        return (self.constant, self.parallel, self.step)[level]

    def _emit(self, node: Expression) -> None:
        """Append what computes `node`, after what it needs."""
        level = self.varies[node]
        if not node.args:
            self._emit_leaf(node)
        elif node in self._groups:
            self._emit_group(self._groups[node], level)
        else:
            function = self._aligned(node)
            sources = tuple(self._slot(arg, level) for arg in node.args)
            if node.op == "spread":
                function = self._spread(str(node.attribute))
                sources = (WEIGHTS, GIVEN, *sources)
            elif all(arg.op == "constant" for arg in node.args):
                function = _of_numbers(function)
                sources = (GIVEN, *sources)
            self._program(level).append((function, sources, self._new(node)))

    def _aligned(self, node: Expression) -> Callable[..., Any]:
        """The function of a node; where a matrix meets scalars, these are spread over its rows."""
        function = RULES[node.op]
        shapes = [self.graph.shapes[arg] for arg in node.args]
        if node.op not in ELEMENTWISE or () not in shapes or len(max(shapes, key=len)) < 2:
            return function

        def aligned(*values: Tensor | float) -> Any:
            return function(
                *(
                    value.unsqueeze(-1) if isinstance(value, Tensor) and not shape else value
                    for value, shape in zip(values, shapes, strict=True)
                )
            )

        return aligned

    def _emit_leaf(self, node: Expression) -> None:
        name = node.attribute
        if node.op == "constant":
            self.constant.append((lambda value=name: value, (), self._new(node)))
        elif node.op in ("parameter", "fixed"):
            self.constant.append((Taken((name,)), (WEIGHTS,), self._new(node)))
        elif node.op == "input":
            self.parallel.append((Read(name), (GIVEN,), self._new(node)))
        elif node.op == "given":
            take = (lambda given: given.per_row[name].unsqueeze(0), (GIVEN,), self._new(node))
            self.parallel.append(take)

    def _slot(self, key: Expression | Nodes, level: Variation) -> int:
        """The slot of a value, as the program of this level sees it."""
        if isinstance(key, Expression) and key not in self.at:
            if key not in self.member_of:
                self._emit(key)
            if key in self.member_of:
                self._split(self.member_of[key])
        own = self.at[key]
        if level is Variation.STEP and self._level(key) is Variation.PARALLEL:
            if key not in self.in_step:
                self.in_step[key] = self._free()
                self.per_step.append((own, self.in_step[key]))
            return self.in_step[key]
        return own

    def _level(self, key: Expression | Nodes) -> Variation:
        if isinstance(key, Expression):
            return self.varies[key]
        return max(self.varies[node] for node in key)

    def _split(self, stack: Nodes) -> None:
        """Give each member of a stacked value its own slot."""
        count = len(stack)
        source = self.at[stack]
        targets = tuple(self._new(node) for node in stack)
        program = self._program(self._level(stack))
        program.append((lambda value: value.chunk(count, -1), (source,), targets))

    # Products of one operand

    def _product_groups(self) -> dict[Expression, Nodes]:
        """For each product, or the sum it is part of, all products of the same operand and form."""
        groups: dict[Any, list[Expression]] = {}
        for node in self.nodes:
            if node.op != "matmul" or self.varies[node] is Variation.CONSTANT:
                continue
            matrix, operand = node.args
            if self.varies[matrix] is Variation.CONSTANT:
                key = (operand, self.graph.shapes[matrix], self._start(node) is not None)
                groups.setdefault(key, []).append(node)
        order = {parameter: k for k, parameter in enumerate(self.graph.parameters)}
        for group in groups.values():  # as weights are stored, so that stacking them copies nothing
            group.sort(key=lambda product: order.get(product.args[0], len(order)))
        return {self._result(node): tuple(group) for group in groups.values() for node in group}

    def _result(self, product: Expression) -> Expression:
        return product if self._start(product) is None else self.readers[product][0]

    def _start(self, product: Expression) -> Expression | None:
        """The sum's part that is there before the product, if the product is only added to it."""
        readers = self.readers.get(product, [])
        if len(readers) != 1 or readers[0].op != "add" or product in self.roots:
            return None
        left, right = readers[0].args
        other = left if right is product else right
        if other is product or len(self.graph.shapes[other]) != 1:
            return None
        limit = (
            Variation.CONSTANT if self.varies[product] is Variation.PARALLEL else Variation.PARALLEL
        )
        return other if self.varies[other] <= limit else None

    def _emit_group(self, products: Nodes, level: Variation) -> None:
        matrices = self._stack_constants(tuple(product.args[0] for product in products))
        operand = self._slot(products[0].args[1], level)
        starts = tuple(self._start(product) for product in products)
        known = tuple(start for start in starts if start is not None)
        target = self._new_stack(tuple(self._result(product) for product in products))
        if not known:
            self._program(level).append((self.linear, (operand, matrices), target))
        elif all(self.varies[start] is Variation.CONSTANT for start in known):
            bias = self._stack_constants(known)
            self._program(level).append((self.linear, (operand, matrices, bias), target))
        elif self.linear is not F.linear:
            start_slot = self._slot(self._stack_starts(known), level)
            self.step.append((self._added, (start_slot, operand, matrices), target))
        else:
            mirrored = self._free()
            self.constant.append((torch.t, (matrices,), mirrored))
            start_slot = self._slot(self._stack_starts(known), level)
            self.step.append((torch.addmm, (start_slot, operand, mirrored), target))

    def _added(self, start: Tensor, operand: Tensor, matrices: Tensor) -> Tensor:
        return start + self.linear(operand, matrices)

    def _new_stack(self, nodes: Nodes) -> int:
        if len(nodes) == 1:
            return self._new(nodes[0])
        for node in nodes:
            self.member_of[node] = nodes
        return self._new(nodes)

    def _stack_constants(self, nodes: Nodes) -> int:
        """The slot of weights under one another; no copy where they are stored so."""
        if len(nodes) == 1:
            return self._slot(nodes[0], Variation.CONSTANT)
        if nodes in self.at:
            return self.at[nodes]
        if all(node.op == "parameter" for node in nodes):
            names = tuple(str(node.attribute) for node in nodes)
            stack: Instruction = (Taken(names), (WEIGHTS,), self._new(nodes))
        else:
            sources = tuple(self._slot(node, Variation.CONSTANT) for node in nodes)
            stack = (lambda *parts: torch.cat(parts), sources, self._new(nodes))
        self.constant.append(stack)
        return self.at[nodes]

    def _stack_starts(self, nodes: Nodes) -> Expression | Nodes:
        """Values of all steps side by side; no copy where one product has computed them so."""
        if len(nodes) == 1:
            return nodes[0]
        if nodes not in self.at:
            sources = tuple(self._slot(node, Variation.PARALLEL) for node in nodes)
            self.parallel.append((_side_by_side, (GIVEN, *sources), self._new(nodes)))
        return nodes

    def _spread(self, letter: str) -> Callable[..., Tensor]:
        def spread(weights: Weights, given: Given, value: Tensor | float) -> Tensor:
            size = self.size(letter, weights, given)
            if not isinstance(value, Tensor) or value.dim() == 0:
                value = given.states[0].new_ones(1) * value
            return RULES["spread"](value, size)

        return spread


def _for_each_row(given: Given, value: Tensor | float) -> Tensor:
    """A number or weight as a value of every row (and place) of the batch."""
    if not isinstance(value, Tensor):
        value = given.states[0].new_full((1,), value)
    return value.expand(*given.sequences["x"].shape[1:-1], *value.shape)


def _of_numbers(function: Callable[..., Any]) -> Callable[..., Any]:
    """What folding leaves alone, such as log(0), in the number format of the layer."""
    return lambda given, *numbers: function(*map(given.states[0].new_tensor, numbers))


def _side_by_side(given: Given, *values: Tensor) -> Tensor:
    like = given.sequences.get("x", next(iter(given.sequences.values())))
    shape = (given.steps, *like.shape[1:-1])
    return torch.cat([value.expand(*shape, value.shape[-1]) for value in values], -1)

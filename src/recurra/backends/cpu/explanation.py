"""What the kernels of a graph do, in numbers: tiles, stages, saved values, FLOPs, threads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import torch

from recurra.backends.cpu.chunks import CHUNK, LEAST
from recurra.backends.cpu.compiled import Compiled, Machine, compiled
from recurra.backends.cpu.kernel import Kernel
from recurra.backends.cpu.operands import Operands, operands, text_of
from recurra.backends.cpu.product import BITS
from recurra.backends.cpu.run import team_for
from recurra.backends.cpu.target import Target, host
from recurra.graph import Expression, Graph
from recurra.graph.chunkwise import chunkwise
from recurra.graph.expression import walk
from recurra.graph.facts import hoisted, stages
from recurra.graph.text import expression_text

Details = list[tuple[str, str]]
_LONG = 40  # characters; an expression without a name that takes more is not written out
_MOST = 4  # values without a name; more are only counted


def details(
    graph: Graph, sizes: Mapping[str, int], steps: int | None, rows: int | None, dtype: torch.dtype
) -> Details:
    """See `Backend.details`. It writes the IR of the kernels, which a later call uses, no code."""
    taken = operands(text_of(graph))
    letters = tuple((letter, sizes[letter]) for letter in taken.letters)
    kernels = compiled(taken.graph, letters, BITS[dtype])
    values = Values(taken, sizes, dtype.itemsize)
    flops = Flops.of(values, kernels)
    lines = [
        *tiles(kernels),
        ("vectors", f"{kernels.training.kernel.draft.form.lanes} lanes, {instructions(host())}"),
        *_under("stages", values.stages()),
        *_under("saved", values.saved()),
        *_under("FLOPs", flops.lines()),
        ("threads", threads(kernels, rows)),
        *chunks(graph, steps),
    ]
    if steps is not None and rows is not None:
        lines.append(("call", _call(values, flops, steps, rows, bool(chunks(graph, steps)))))
    return lines


@dataclass(frozen=True, eq=False)
class Values:
    """The values of a step, their names and sizes.

    Attributes:
        operands: what the kernels of the graph take.
        sizes: the number behind each size letter, I too.
        bytes: of a number.
    """

    operands: Operands
    sizes: Mapping[str, int]
    bytes: int

    @property
    def graph(self) -> Graph:
        """The step, as kernels compute it."""
        return self.operands.split.graph

    def size(self, nodes: Iterable[Expression]) -> int:
        """Numbers of some values together."""
        return sum(prod(self.sizes[letter] for letter in self.graph.shapes[n]) for n in nodes)

    def named(self, node: Expression) -> str:
        """An expression in the names of the equations; a state is that before the step."""

        def name(node: Expression) -> str | None:
            if node.op == "state":
                return f"{node.attribute}[t-1]"
            return self.graph.names.get(node) if node.args else None

        found = name(node) or expression_text(node, name)
        return found if len(found) <= _LONG else f"{node.op}(...)"

    def stages(self) -> list[str]:
        """What waits for all units of a value, in order."""
        groups = stages(self.graph)
        lines = [f"{n}: {'; '.join(self._members(group))}" for n, group in enumerate(groups, 1)]
        return lines or ["1: no unit waits for another"]

    def _members(self, group: Iterable[Expression]) -> list[str]:
        """Products by operand, and reductions."""
        order = {parameter: k for k, parameter in enumerate(self.graph.parameters)}
        left: dict[Expression, list[Expression]] = {}
        reductions = []
        for node in group:
            if node.op == "matmul":
                left.setdefault(node.args[1], []).append(node.args[0])
            else:
                reductions.append(self.named(node))
        products = []
        for operand, matrices in left.items():
            matrices.sort(key=lambda matrix: order.get(matrix, len(order)))
            right = self.named(operand)
            right = f"({right})" if operand.args and " " in right else right
            products.append(f"{', '.join(map(self.named, matrices))} @ {right}")
        return products + _counted(reductions)

    def saved(self) -> list[str]:
        """What the forward direction leaves for the backward one, and its bytes."""
        kept = self.operands.kept
        order = {node: k for k, (_, node) in enumerate(self.graph.named)}
        names = [self.named(node) for node in sorted(set(kept) & set(order), key=order.__getitem__)]
        nameless = [self.named(node) for node in kept if node not in order]
        few = len(nameless) <= _MOST
        names += _counted(nameless) if few else [f"{len(nameless)} without a name"]
        told = ", ".join(names) or "nothing"
        lines = [f"{told}: {self.bytes * self.size(kept):,} bytes a step and row"]
        if states := self._histories():
            told = ", ".join(str(state.attribute) for state in states)
            which = "the state" if len(states) == 1 else "the states"
            lines.append(f"{which} {told}: {self.bytes * self.size(states):,}")
        if before := self._before():
            lines.append(f"what is computed before the loop: {self.bytes * before:,}")
        return lines

    @property
    def saved_bytes(self) -> int:
        """Bytes a step and row of all that is saved beside the output."""
        nodes = (*self.operands.kept, *self._histories())
        return self.bytes * (self.size(nodes) + self._before())

    def _histories(self) -> list[Expression]:
        """States of which all steps are kept, and which are not the output."""
        given_out = self.operands.output_states
        return [state for number, state in enumerate(self.graph.states) if number not in given_out]

    def _before(self) -> int:
        """Numbers a step and row of the sequences computed before the loop that are kept."""
        taken = self.operands
        reads = zip(taken.split.forward.reads, taken.reads, strict=True)
        widths = {
            source: self.size([read]) * members
            for read, (source, _, members) in reads
            if source in taken.kept_sources
            or (
                not taken.sources[source].is_product
                and read.args
                and any(leaf.op == "input" for leaf in walk((read,)))
            )
        }
        return sum(widths.values())


@dataclass(frozen=True)
class Flops:
    """FLOPs of the products of one step and row.

    Attributes:
        loop: forward, in the kernel.
        inputs: forward, before it; gradients of inputs cost the same.
        back: backward, in the kernel.
        weights: backward, after it.
    """

    loop: int
    inputs: int
    back: int
    weights: int

    @classmethod
    def of(cls, values: Values, kernels: Compiled) -> Flops:
        """Count them."""
        outside = [product.args[0] for product in hoisted(values.graph)]
        trained = [m for m in outside if any(leaf.op == "parameter" for leaf in walk((m,)))]
        inside = [product.matrix for product in values.operands.split.backward.products]
        return cls(
            loop=2 * kernels.training.kernel.work,
            inputs=2 * values.size(outside),
            back=2 * kernels.gradients.kernel.work,
            weights=2 * values.size([*trained, *inside]),
        )

    def lines(self) -> list[str]:
        """In words."""
        forward = f"forward {self.loop:,} in the loop, {self.inputs:,} before it for inputs"
        backward = f"backward {self.back:,} in the loop, {self.weights:,} after it for weights"
        if self.inputs:
            backward += f", {self.inputs:,} for inputs that need gradients"
        return [f"{forward} (products of a step and row)", backward]


def tiles(kernels: Compiled) -> Details:
    """What stands in registers, in either direction."""
    forward, backward = (_tiles(m.kernel) for m in (kernels.training, kernels.gradients))
    if not forward and not backward:
        return [("tile", "none: no products with weights in the loop")]
    return _under("tile", [f"forward {forward or 'none'}", f"backward {backward or 'none'}"])


def _tiles(kernel: Kernel) -> str:
    """The distinct tiles of a kernel, in order."""
    shapes = [
        (_plural(s.tile.rows, "row"), _plural(s.tile.vectors, "vector"), len(s.accumulations))
        for s in kernel.sweeps
    ]
    each = (f"{rows} x {vectors} x {_plural(sums, 'sum')}" for rows, vectors, sums in shapes)
    return ", then ".join(dict.fromkeys(each))


def instructions(target: Target) -> str:
    """The name of the vector instructions that kernels use on a processor."""
    if "+neon" in target.features.split(","):
        return "NEON"
    return {64: "AVX-512", 32: "AVX2"}.get(target.vector_bytes, "vectors of 128 bits")


def threads(kernels: Compiled, rows: int | None) -> str:
    """How threads share the work, for B rows or for any number of them."""
    machines = (kernels.training, kernels.gradients)
    if rows is None and torch.get_num_threads() > 1:
        most = max(machine.kernel.tile_rows for machine in machines)
        return f"share the rows if each gets {most}; else the units, if a step is large"
    forward, backward = (_shared(machine, rows or 1) for machine in machines)
    return forward if forward == backward else f"forward {forward}; backward {backward}"


def chunks(graph: Graph, steps: int | None) -> Details:
    """How calls of some steps go around a memory that is a matrix."""
    form = chunkwise(graph)
    if form is None or (steps is not None and steps < LEAST):
        return []
    name = form.memory.attribute
    when = f"from {LEAST} steps on" if steps is None else f"{-(-steps // CHUNK)} here"
    how = f"{when}, of at most {CHUNK} steps each, in a few products"
    return [("chunks", f"{how}; {name} is computed between them alone, and not saved in each step")]


def _shared(machine: Machine, rows: int) -> str:
    team, by_units = team_for(machine, rows)
    if team <= 1:
        return "1 takes all rows"
    return f"{team} share the {'units of all rows' if by_units else 'rows'}"


def _call(values: Values, flops: Flops, steps: int, rows: int, in_chunks: bool) -> str:
    """FLOPs and bytes of a whole call."""
    each = (flops.loop + flops.inputs, flops.back + flops.weights, values.saved_bytes)
    forward, backward, saved = (f"{number * steps * rows / 1e6:,.1f}" for number in each)
    if in_chunks:  # of which only the products with weights stay
        each_step = (flops.inputs, flops.inputs)
        forward, backward = (f"{number * steps * rows / 1e6:,.1f}" for number in each_step)
        return (
            f"T {steps}, B {rows}: forward {forward} MFLOP, backward {backward} without gradients "
            "of inputs, and the chunks"
        )
    return (
        f"T {steps}, B {rows}: forward {forward} MFLOP, backward {backward} without gradients of "
        f"inputs; saved {saved} MB"
    )


def _under(label: str, lines: Iterable[str]) -> Details:
    """Lines under one label, which stands at the first."""
    return [("" if number else label, line) for number, line in enumerate(lines)]


def _counted(names: Iterable[str]) -> list[str]:
    """Equal names once, with their number."""
    return [f"{count} x {name}" if count > 1 else name for name, count in Counter(names).items()]


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"

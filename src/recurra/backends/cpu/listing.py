"""The LLVM IR of a cell's forward kernel with comments that carry the names of its equations."""

from __future__ import annotations

import re
from collections.abc import Iterator

from recurra.backends.cpu.compiled import split
from recurra.backends.cpu.kernel import Kernel
from recurra.backends.cpu.packing import Packing
from recurra.backends.cpu.program import StepProgram
from recurra.backends.cpu.sweep import Sweep
from recurra.backends.cpu.target import Target, host
from recurra.backends.cpu.tile_products import Factor, TileProducts
from recurra.backends.cpu.tile_writer import clocks_of, factors_of
from recurra.graph import Expression, Graph
from recurra.graph.text import expression_text, text

SIZE = 64
_FUNCTIONS = {
    "pack": "the matrices in the order in which tiles read them",
    "share": "what each thread calls: some rows, or where these are few some units of all rows",
    "steps": "some rows through all steps",
    "barrier": "where threads that share units wait for one another",
}
_BITS = 32
# What a block of instructions does, by the beginning of its label.
_BLOCKS = {
    "time": "the loop over time: one turn is one step",
    "units": "a block of units, whose packed matrices stay in the cache for all rows",
    "rows": "a tile of rows: first its products, then its equations",
    "products_done": "the products of the tile are in the buffer",
    "tile_rows": "one row of the tile",
    "vectors": "the equations, for one row and one vector of units",
    "row": "one row",
    "fold": "vectors of a row are combined",
    "matrices": "a matrix of each row",
    "matrix_rows": "a row of it",
    "product": "one column of the matrices: sums += matrices[:, k] * operand[k]",
}


def listing(graph: Graph, target: Target | None = None) -> str:
    """The forward kernel of a graph in float32, all sizes 64, with comments.

    Args:
        graph: a cell's.
        target: the processor; this one if not given.
    """
    target = target or host()
    cut = split(graph)
    program = cut.forward
    letters = {letter for shape in program.shapes.values() for letter in shape}
    form = target.form(_BITS)
    kernel = Kernel(program, dict.fromkeys(letters, SIZE), form, target.accumulators, False)
    names = {node: name for node, name in cut.graph.names.items() if node.args}
    writer = _Writer(kernel, names)
    lines = [f"; {line}".rstrip() for line in writer.header(graph, target)]
    return "\n".join([*lines, *writer.body()])


class _Writer:
    def __init__(self, kernel: Kernel, names: dict[Expression, str]) -> None:
        self.kernel, self.names = kernel, names
        self.sweeps = {sweep.key: sweep for phase in kernel.phases for sweep in phase}

    def header(self, graph: Graph, target: Target) -> Iterator[str]:
        """Equations, sizes, processor, tiles, and what each entry of the table is."""
        lanes = self.kernel.draft.form.lanes
        yield f"{graph.name}, forward, without what a backward pass would need:"
        yield from (f"  {line}" for line in text(graph).splitlines())
        sizes = " = ".join([*sorted(self.kernel.draft.sizes), str(SIZE)])
        yield f"sizes: {sizes}; T and B are read from the table"
        yield f"processor: {target.cpu}; a vector holds {lanes} numbers in float32"
        for key, sweep in self.sweeps.items():
            if sweep.accumulations:
                yield f"{key}: {_products(sweep)}"
        yield "entries of the table:"
        yield from (f"  {key} is {meaning}" for key, meaning in self.entries())

    def entries(self) -> Iterator[tuple[str, str]]:
        """(entry, its value in the cell's names)."""
        table, program = self.kernel.table, self.kernel.draft.program
        for kind in ("read", "constant", "matrix", "store", "scratch"):
            for node in _of_kind(self.kernel, program, kind):
                yield table.key(kind, node), self.named(node)
        for state in program.states:
            yield table.state(state), f"the state {state.attribute}, before and after each step"

    def named(self, node: Expression) -> str:
        """An expression in the names of the equations."""
        found = self.names.get(node)
        return found or expression_text(node, self.names.get)

    def body(self) -> Iterator[str]:
        """The module, a comment before each function and block that has a meaning."""
        for line in str(self.kernel.complete()).splitlines():
            yield from self._comments(line)
            yield line

    def _comments(self, line: str) -> Iterator[str]:
        function = re.match(r'define .*@"([^"]+)"', line)
        if function:
            yield from (f"; {comment}" for comment in self._function(function[1]))
        elif label := re.match(r'"?(\w+)(?:\.\d+)?"?:$', line):
            case = re.fullmatch(r"products_(\d+)", label[1])
            if case:
                yield f"  ; products of a tile, its number of rows: {case[1]}"
            elif label[1] in _BLOCKS:
                yield f"  ; {_BLOCKS[label[1]]}"

    def _function(self, name: str) -> Iterator[str]:
        if name in _FUNCTIONS:
            yield _FUNCTIONS[name]
        elif isinstance(one := self.kernel.calls.get(name), TileProducts):
            sums = "; ".join(self._sums(one.factors))
            yield f"rows: at most {one.rows}, vectors of units: {one.vectors}; {sums}"
        elif isinstance(one, Packing):
            yield "units of a matrix side by side, for each k"
        elif name in self.kernel.apart:
            number, node = self.kernel.apart[name]
            yield f"phase {number} of a step, from memory to memory: {self.named(node)}"
        elif phase := re.match(r"phase_(\d+)_(\d+(?:x\d+)?)$", name):
            for sweep in self.kernel.phases[int(phase[1])]:
                if phase[2] == (sweep.form or str(sweep.size)):
                    results = ", ".join(map(self.named, sweep.results))
                    what = "matrices of" if sweep.form else "values of"
                    units = phase[2] if sweep.form else f"{phase[2]} units"
                    yield f"phase {phase[1]} of a step, {what} {units}: writes {results}"

    def _sums(self, factors: tuple[Factor, ...]) -> Iterator[str]:
        """The sums of each sweep whose products are of this form."""
        for sweep in self.kernel.sweeps:
            if factors_of(sweep, clocks_of(self.kernel.draft, sweep)) == factors:
                own = [[self.named(p) for p in one.products] for one in sweep.accumulations]
                yield "sums of " + ", ".join(map(" + ".join, own))


def _of_kind(kernel: Kernel, program: StepProgram, kind: str) -> tuple[Expression, ...]:
    kinds = {
        "read": program.reads,
        "constant": program.constants,
        "matrix": program.matrices,
        "store": program.stores,
        "scratch": tuple(kernel.scratch),
    }
    return kinds[kind]


def _products(sweep: Sweep) -> str:
    count, tile = len(sweep.accumulations), sweep.tile
    return (
        f"packed matrices; a tile has {tile.rows} rows, {tile.vectors} vectors of units and "
        f"{count} sums of products, all in registers: {tile.rows * tile.vectors * count}"
    )

"""Shapes follow from use: which parameter is a matrix, and the size of every value.

A shape is a tuple of size letters: () a scalar of one row, ("H",) one value per unit, ("H", "I") a
matrix. Sizes that nobody states are variables, and each operation says which of them are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NoReturn, TypeVar

from recurra.errors import CellError
from recurra.graph.expression import Expression, walk
from recurra.graph.operations import ELEMENTWISE, REDUCTIONS

Shape = tuple[str, ...]
Size = TypeVar("Size", str, str | int)
Complain = Callable[[Expression, str], NoReturn]


def plain_complaint(node: Expression, message: str) -> NoReturn:
    """Raise `message` for a node whose line in a cell is not known."""
    raise CellError(f"{node.op}: {message}")


class _Sizes:
    """Sizes that are known (letters) or not yet (numbers), joined when an equation says so."""

    def __init__(self) -> None:
        self.parent: dict[int, str | int] = {}

    def new(self) -> int:
        self.parent[len(self.parent)] = len(self.parent)
        return len(self.parent) - 1

    def find(self, size: str | int) -> str | int:
        while isinstance(size, int) and self.parent[size] != size:
            size = self.parent[size]
        return size

    def join(self, a: str | int, b: str | int) -> bool:
        """Make a and b equal; False if they are two different letters."""
        a, b = self.find(a), self.find(b)
        if a == b:
            return True
        if isinstance(a, int):
            self.parent[a] = b
        elif isinstance(b, int):
            self.parent[b] = a
        else:
            return False
        return True


def infer(
    roots: Iterable[Expression],
    stated: Mapping[Expression, Shape],
    alike: Iterable[tuple[Expression, Expression]] = (),
    complain: Complain = plain_complaint,
) -> dict[Expression, Shape]:
    """The shape of every leaf under `roots`, from the `stated` ones and from use.

    The pairs of `alike` have the same shape (a state before and after the step). A size that stays
    open becomes "H", or "I_<name>" for an input that is only read by a matrix.
    """
    nodes, alike = walk(roots), tuple(alike)
    matrices = _matrices(nodes, stated, alike, complain)
    sizes = _Sizes()
    shapes: dict[Expression, tuple[str | int, ...]] = {}
    for node in nodes:
        shapes[node] = _shape(node, shapes, stated, matrices, sizes, complain)
    for a, b in alike:
        if len(shapes[a]) == len(shapes[b]):
            for one, other in zip(shapes[a], shapes[b], strict=True):
                sizes.join(one, other)
    for node in nodes:
        if node.op == "input" and shapes[node]:
            size = sizes.find(shapes[node][0])
            if isinstance(size, int):
                sizes.parent[size] = f"I_{node.attribute}"
    leaves = (node for node in nodes if not node.args)
    return {leaf: tuple(_letter(sizes.find(s)) for s in shapes[leaf]) for leaf in leaves}


def _letter(size: str | int) -> str:
    return size if isinstance(size, str) else "H"


def _scalars(nodes: list[Expression], stated: Mapping[Expression, Shape]) -> set[Expression]:
    """The nodes that are scalars whatever reads them."""
    found: set[Expression] = set()
    for node in nodes:
        of_scalars = node.op in ELEMENTWISE and found.issuperset(node.args)
        if node.op in ("constant", *REDUCTIONS) or stated.get(node) == () or of_scalars:
            found.add(node)
    return found


def _matrices(
    nodes: list[Expression],
    stated: Mapping[Expression, Shape],
    alike: tuple[tuple[Expression, Expression], ...],
    complain: Complain,
) -> set[Expression]:
    """The nodes that are matrices, because a product or a transposition reads them as one."""
    scalars = _scalars(nodes, stated)
    found = {leaf for leaf, shape in stated.items() if len(shape) == 2}
    found.update(after for before, after in alike if before in found)
    for node in reversed(nodes):  # users before their operands
        if node.op in ("matmul", "transpose"):
            found.add(node.args[0])
        if node in found and node.op in ELEMENTWISE:
            found.update(arg for arg in node.args if arg not in scalars)
    for node in nodes:  # a matrix may also be one through its other operand
        if node.op in ELEMENTWISE and any(arg in found for arg in node.args):
            found.add(node)
        if node.op in ("transpose", "outer"):
            found.add(node)
    for node in nodes:
        allowed = node.op == "state" and len(stated.get(node, ())) == 2
        if node in found and node.op in ("input", "given", "state") and not allowed:
            complain(
                node,
                f"{node.attribute} is a value of the step, and stands where a matrix is needed.",
            )
        if node.op == "matmul" and node.args[1] in found:
            complain(
                node,
                "the right side of @ must be a vector; a product of two matrices is not one step.",
            )
        vectors = [arg for arg in node.args if arg not in found and arg not in scalars]
        if node.op in ELEMENTWISE and node in found and vectors:
            complain(node, f"{node.op} joins a matrix and a vector.")
    return found


def _shape(
    node: Expression,
    shapes: Mapping[Expression, tuple[str | int, ...]],
    stated: Mapping[Expression, Shape],
    matrices: set[Expression],
    sizes: _Sizes,
    complain: Complain,
) -> tuple[str | int, ...]:
    args = [shapes[arg] for arg in node.args]
    if node in stated:
        return stated[node]
    if node.op == "constant":
        return ()
    if not node.args:
        return tuple(sizes.new() for _ in range(2 if node in matrices else 1))
    if node.op in ("matmul", "transpose") and len(args[0]) != 2:
        complain(node, f"{node.op} needs a matrix, such as p.W, and was given a value of the step.")
    if node.op == "matmul":
        if len(args[1]) != 1:
            complain(node, "the right side of @ is a scalar; a matrix needs a vector.")
        if not sizes.join(args[0][1], args[1][0]):
            _mismatch(node, (args[0][1],), args[1], sizes, complain)
    if node.op == "outer" and [len(shape) for shape in args] != [1, 1]:
        complain(node, "outer takes two vectors, a column and a row.")
    if node.op in REDUCTIONS and len(args[0]) != 1:
        complain(
            node,
            f"{node.op} goes over the units of a vector, and was given a scalar or matrix.",
        )
    if node.op in ELEMENTWISE:
        _join_all(node, args, sizes, complain)
    return _forward(node, args)


def _join_all(
    node: Expression, args: list[tuple[str | int, ...]], sizes: _Sizes, complain: Complain
) -> None:
    """The operands of an elementwise operation that are no scalars have one shape."""
    first, *others = [shape for shape in args if shape] or [()]
    for shape in others:
        if len(shape) != len(first):
            complain(node, f"{node.op} joins a matrix and a vector.")
        for a, b in zip(first, shape, strict=True):
            if not sizes.join(a, b):
                _mismatch(node, first, shape, sizes, complain)


def _mismatch(
    node: Expression,
    a: tuple[str | int, ...],
    b: tuple[str | int, ...],
    sizes: _Sizes,
    complain: Complain,
) -> NoReturn:
    def spell(shape: tuple[str | int, ...]) -> str:
        return (
            "("
            + ", ".join(_letter(sizes.find(s)) for s in shape)
            + ("," if len(shape) == 1 else "")
            + ")"
        )

    complain(
        node,
        f"the sizes {spell(a)} and {spell(b)} meet. Put a matrix between them, or state that they "
        'are equal: @cell(..., shapes={"x": "H"}).',
    )


def shape_of(
    roots: Iterable[Expression], leaves: Mapping[Expression, Shape]
) -> dict[Expression, Shape]:
    """The shape of every node under `roots`, when those of the leaves are known."""
    shapes: dict[Expression, Shape] = {}
    for node in walk(roots):
        if node.op == "constant":
            shapes[node] = ()
        elif not node.args:
            shapes[node] = leaves[node]
        else:
            shapes[node] = _forward(node, [shapes[arg] for arg in node.args])
    return shapes


def _forward(node: Expression, args: list[tuple[Size, ...]]) -> tuple[Size, ...]:
    if node.op == "matmul":
        return (args[0][0],)
    if node.op == "transpose":
        return (args[0][1], args[0][0])
    if node.op == "outer":
        return (args[0][0], args[1][0])
    if node.op == "spread":
        return (node.attribute,)
    if node.op in REDUCTIONS:
        return ()
    return max(args, key=len)

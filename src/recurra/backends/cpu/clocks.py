"""Clocks: in which steps units move, and what of a step is 0 while they rest.

A choice `where(mark, a, b)` with a mark that is given for every step is a clock: the units follow
one operand where they rest, the other where they move.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from recurra.backends.cpu.program import StepProgram, walk_above
from recurra.graph import Expression


@dataclass(frozen=True, eq=False)
class Clock:
    """When units move.

    Attributes:
        mark: a read of the program, one for each unit.
        rests: the operand of `where(mark, a, b)` that counts where units rest: 1 is a, 2 is b.
    """

    mark: Expression
    rests: int

    def still(self, node: Expression) -> Expression | None:
        """What a choice by this clock gives where units rest; None if a node is no such choice."""
        chosen = node.op == "where" and node.args[0] is self.mark
        return node.args[self.rests] if chosen else None


def clocks(program: StepProgram) -> Iterator[Clock]:
    """Every clock of a program, each with either of its two sides as the one that rests."""
    marks = dict.fromkeys(node.args[0] for node in program.nodes if node.op == "where")
    for mark in program.reads:
        if mark in marks and program.shapes[mark]:
            yield from (Clock(mark, 1), Clock(mark, 2))


def clock_of(program: StepProgram, node: Expression) -> Clock | None:
    """A clock whose units are 0 in a node wherever they rest; None if there is none.

    They are, as long as everything else is finite.
    """
    for clock in clocks(program):
        same = program.shapes[clock.mark] == program.shapes[node]
        if same and node in _zeros(program, node, clock):
            return clock
    return None


def _zeros(program: StepProgram, root: Expression, clock: Clock) -> set[Expression]:
    """What is 0 under an expression where units rest."""
    found: set[Expression] = set()
    for node in walk_above([root], program.leaves):
        zero = [arg in found or (arg.op == "constant" and arg.attribute == 0) for arg in node.args]
        if (
            (node.op == "multiply" and any(zero))
            or (node.op in ("add", "subtract", "negate") and all(zero))
            or (node.op == "divide" and zero[0])
            or (node.op == "where" and all(zero[1:]))
            or (clock.still(node) is not None and zero[clock.rests])
        ):
            found.add(node)
    return found

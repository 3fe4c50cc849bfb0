"""What all writers of one kernel share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import llvmlite.ir as ir

from recurra.backends.cpu.loops import VOID
from recurra.backends.cpu.program import StepProgram
from recurra.backends.cpu.schedule import Schedule
from recurra.backends.cpu.shared import Shared, declared
from recurra.backends.cpu.table import Table
from recurra.backends.cpu.vectors import INT, POINTER, Format
from recurra.graph import Expression
from recurra.graph.shapes import Shape


@dataclass(frozen=True, eq=False)
class Draft:
    """A kernel while it is written.

    Attributes:
        program: what is computed.
        sizes: the number behind each size letter.
        form: number format and lanes.
        schedule: the phases of the program.
        table: the one argument of the kernel.
        module: where functions go.
        calls: the shared functions that it calls, by name.
    """

    program: StepProgram
    sizes: Mapping[str, int]
    form: Format
    schedule: Schedule
    table: Table
    module: ir.Module
    calls: dict[str, Shared] = field(default_factory=dict)

    def size(self, node: Expression) -> int:
        """Numbers of a row of a value."""
        return prod(self.sizes[letter] for letter in self.shape(node))

    def shape(self, node: Expression) -> Shape:
        """The size letters of a value."""
        return self.program.shapes[node]

    def function(self, name: str, arguments: list[ir.Type]) -> ir.Function:
        """A new function that returns nothing."""
        function = ir.Function(self.module, ir.FunctionType(VOID, arguments), name)
        function.attributes.add("nounwind")
        return function

    def shared(self, one: Shared) -> ir.Function:
        """A function that is compiled apart."""
        assert self.calls.setdefault(one.name, one) == one, "two functions of one name"
        return declared(self.module, one)

    def part(self, name: str) -> Part:
        """A new part of a step."""
        function = self.function(name, [POINTER, *[INT] * 6])
        function.linkage = "internal"
        labels = ("table", "t", "s", "low", "high", "me", "team")
        for argument, label in zip(function.args, labels, strict=True):
            argument.name = label
        entry = ir.IRBuilder(function.append_basic_block("entry"))
        return Part(function, entry, ir.IRBuilder(function.append_basic_block("body")))


@dataclass(frozen=True, eq=False)
class Part:
    """A function that computes a part of a step for some rows, or with a team some units of them.

    Attributes:
        function: of (table, step, slot, first row, end of the rows, member, size of the team).
        entry: where what all rows share is computed.
        body: the rest.
    """

    function: ir.Function
    entry: ir.IRBuilder
    body: ir.IRBuilder

    @property
    def table(self) -> ir.Value:
        """The table of the call."""
        return self.function.args[0]

    @property
    def slot(self) -> ir.Value:
        """Steps that are done already."""
        return self.function.args[2]

    @property
    def rows(self) -> tuple[ir.Value, ir.Value]:
        """(first row, end)."""
        return self.function.args[3], self.function.args[4]

    @property
    def team(self) -> tuple[ir.Value, ir.Value]:
        """(member, size of the team)."""
        return self.function.args[5], self.function.args[6]

    def close(self) -> ir.Function:
        """The complete function."""
        self.body.ret_void()
        self.entry.branch(self.function.blocks[1])
        return self.function

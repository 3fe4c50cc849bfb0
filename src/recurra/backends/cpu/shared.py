"""Functions that many kernels call: each is written and compiled once in a process."""

from __future__ import annotations

from typing import Protocol

import llvmlite.ir as ir

from recurra.backends.cpu.loops import VOID
from recurra.backends.cpu.target import Code, Target, made_once


class Shared(Protocol):
    """What one function is, and all that decides it: equal objects are one function."""

    @property
    def name(self) -> str:
        """Another one for each function."""

    @property
    def arguments(self) -> list[ir.Type]:
        """Their types."""

    def write(self, function: ir.Function) -> None:
        """The body of the function, which has none yet."""

    def __hash__(self) -> int: ...


def declared(module: ir.Module, one: Shared) -> ir.Function:
    """A shared function in a module that calls it; its body is elsewhere."""
    if one.name in module.globals:
        return module.globals[one.name]
    function = ir.Function(module, ir.FunctionType(VOID, one.arguments), one.name)
    function.attributes.add("nounwind")
    return function


def written(module: ir.Module, one: Shared) -> ir.Function:
    """A shared function as one of a module's own."""
    function = declared(module, one)
    if function.is_declaration:
        function.linkage = "internal"
        function.attributes.add("noinline")
        one.write(function)
    return function


@made_once
def code_of(one: Shared, target: Target) -> Code:
    """The machine code of a shared function; its address outlives every kernel."""
    module = ir.Module(one.name)
    one.write(declared(module, one))
    return Code(str(module), target)

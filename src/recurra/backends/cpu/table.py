"""The table of a call: pointers, strides and counts, as the one argument of a kernel."""

from __future__ import annotations

from collections.abc import Iterable

import llvmlite.ir as ir

from recurra.backends.cpu.program import StepProgram
from recurra.backends.cpu.vectors import INT, index
from recurra.graph import Expression

_WIDTH = 5  # pointer, step stride, row stride, slot mask, first row of each step


class Table:
    """Which place of the table belongs to which value; strides count numbers, not bytes."""

    def __init__(self, program: StepProgram, scratch: Iterable[Expression]) -> None:
        self._places: dict[str, int] = {}
        self._keys: dict[tuple[str, Expression], str] = {}
        for name in ("rows", "steps", "turn", "by_units", "counts", "loads", "arrived", "yield"):
            self.add(name)
        kinds = {
            "read": program.reads,
            "constant": program.constants,
            "matrix": program.matrices,
            "state": program.states,
            "store": program.stores,
            "scratch": tuple(scratch),
        }
        for kind, nodes in kinds.items():
            for number, node in enumerate(nodes):
                self._keys[kind, node] = f"{kind}_{number}"
                self.add(f"{kind}_{number}")

    def add(self, key: str) -> None:
        """One more entry."""
        self._places[key] = len(self._places)

    def find(self, kind: str, node: Expression) -> str | None:
        """The entry of a value, if it is of this kind."""
        return self._keys.get((kind, node))

    def key(self, kind: str, node: Expression) -> str:
        """The entry of a value of this kind."""
        return self._keys[kind, node]

    def state(self, node: Expression) -> str:
        """The entry of a state."""
        return self._keys["state", node]

    def kind(self, key: str) -> str:
        """The kind of an entry."""
        return key.split("_")[0]

    def load(self, b: ir.IRBuilder, table: ir.Value, key: str, field: int = 0) -> ir.Value:
        """Code that reads a field of an entry."""
        place = b.gep(table, [index(self._places[key] * _WIDTH + field)], source_etype=INT)
        return b.load(place, name=f"{key}.{field}", align=8, typ=INT)

    @property
    def size(self) -> int:
        """Numbers of the table."""
        return len(self._places) * _WIDTH

    def place(self, key: str) -> int:
        """Where the pointer of an entry stands in the table."""
        return self._places[key] * _WIDTH

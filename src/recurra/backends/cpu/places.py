"""Where values lie in memory."""

from __future__ import annotations

import llvmlite.ir as ir

from recurra.backends.cpu.draft import Draft, Part
from recurra.backends.cpu.vectors import INT, POINTER, index
from recurra.graph import Expression


class Places:
    """Where values lie in memory, as one function sees it; bases are computed at its entry."""

    def __init__(self, draft: Draft, part: Part) -> None:
        self.draft, self.entry = draft, part.entry
        self.table, self.t, self.s = part.function.args[:3]
        self._known: dict[tuple[str, bool], tuple[ir.Value, ir.Value]] = {}

    def _base(self, key: str, after: bool = False) -> tuple[ir.Value, ir.Value]:
        """(pointer of this step, row stride) of an entry of the table."""
        if (key, after) not in self._known:
            e, table = self.entry, self.draft.table
            pointer = e.inttoptr(table.load(e, self.table, key), POINTER)
            row = table.load(e, self.table, key, 2)
            at = self.t
            if table.kind(key) == "state":
                at = e.add(self.s, index(1)) if after else self.s
                at = e.and_(at, table.load(e, self.table, key, 3))
            starts = e.inttoptr(table.load(e, self.table, key, 4), POINTER)
            first = e.load(e.gep(starts, [at], source_etype=INT), align=8, typ=INT)
            offset = e.add(e.mul(at, table.load(e, self.table, key, 1)), e.mul(first, row))
            base = e.gep(pointer, [offset], source_etype=self.draft.form.scalar)
            self._known[key, after] = (base, row)
        return self._known[key, after]

    def _row(self, b: ir.IRBuilder, key: str, row: ir.Value, after: bool = False) -> ir.Value:
        base, stride = self._base(key, after)
        return b.gep(base, [b.mul(row, stride)], source_etype=self.draft.form.scalar)

    def stride(self, node: Expression) -> ir.Value:
        """Numbers from a row of a value in memory to the next."""
        key, after = self._where(node)
        return self._base(key, after)[1]

    def pointer(self, b: ir.IRBuilder, node: Expression, row: ir.Value) -> ir.Value:
        """The first number of a row of a value in memory."""
        key, after = self._where(node)
        return self._row(b, key, row, after)

    def _where(self, node: Expression) -> tuple[str, bool]:
        table, program = self.draft.table, self.draft.program
        for kind in ("read", "constant", "state", "store", "scratch"):
            key = table.find(kind, node)
            if key is not None:
                return key, False
        return table.state(program.states[program.updates.index(node)]), True

    def result(self, b: ir.IRBuilder, node: Expression, row: ir.Value) -> list[ir.Value]:
        """Everywhere a result is written: its row in each place."""
        table, program = self.draft.table, self.draft.program
        found = []
        for state, update in zip(program.states, program.updates, strict=True):
            if update is node:
                found.append(self._row(b, table.state(state), row, after=True))
        for kind in ("store", "scratch"):
            key = table.find(kind, node)
            if key is not None:
                found.append(self._row(b, key, row))
        return found

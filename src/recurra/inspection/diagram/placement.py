"""Where the nodes stand: states as rails on top, gates in a row, pointwise operations between.

A state that only pointwise operations change is carried on a rail through the cell. Other states
run along the bottom, where the gates read them. Columns are ranks: nothing stands left of what it
reads (Sugiyama, Tagawa & Toda 1981, Methods for visual understanding of hierarchical system
structures).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from recurra.inspection.diagram.elements import Diagram

PORTS = ("input", "before", "after", "output")
ROUND = ("function", "product", "sum", "operator")


@dataclass(frozen=True)
class Plan:
    """Columns from the left and rows from the row of the gates (0) upwards.

    Attributes:
        column: of every node inside the cell, and of the inputs below it.
        row: of every node on or above the row of the gates; joins have none.
        rails: for each state that is carried on top, its nodes from left to right, topmost first.
        height: the number of rows between the gates and the rails.
    """

    column: dict[str, int]
    row: dict[str, int]
    rails: dict[str, list[str]]
    height: int


def plan(diagram: Diagram) -> Plan:
    """Columns and rows for the nodes of a diagram."""
    rails = _rails(diagram)
    on_rail = {key for keys in rails.values() for key in keys}
    row = _rows(diagram, on_rail, set(rails))
    height = max(row.values(), default=0)
    for k, keys in enumerate(rails.values()):
        row |= dict.fromkeys(keys, height + len(rails) - k)
    return Plan(_Columns(diagram, row, rails).run(), row, rails, height)


def _rails(diagram: Diagram) -> dict[str, list[str]]:
    """For each carried state the shortest way from its old to its new value; topmost first."""
    rails: dict[str, list[str]] = {}
    order = sorted(diagram.states, key=lambda s: len(_ancestors(diagram, diagram.updates[s])))
    taken: set[str] = set()
    for state in order:
        path = _carry(diagram, f"before:{state}", diagram.updates[state], taken)
        if path:
            rails[state] = path
            taken |= set(path)
    return rails


def _ancestors(diagram: Diagram, key: str) -> set[str]:
    found: set[str] = set()
    stack = [key]
    while stack:
        for operand in diagram.operands[stack.pop()]:
            if operand not in found:
                found.add(operand)
                stack.append(operand)
    return found


def _carry(diagram: Diagram, start: str, end: str, taken: set[str]) -> list[str]:
    """The nodes on the shortest way of pointwise operations; empty if there is none."""
    came: dict[str, str] = {start: ""}
    queue = deque([start])
    while queue:
        key = queue.popleft()
        for reader in diagram.readers[key]:
            if reader not in came and diagram.kind(reader) in ROUND and reader not in taken:
                came[reader] = key
                queue.append(reader)
    path, key = [], end
    while key in came and key != start:
        path.append(key)
        key = came[key]
    return path[::-1]


def _rows(diagram: Diagram, on_rail: set[str], carried: set[str]) -> dict[str, int]:
    """Rows of what stands between the gates and the rails: over its operands, or hanging."""
    outside = (*PORTS, "join")
    order = [k for k in _in_order(diagram) if k not in on_rail and diagram.kind(k) not in outside]
    row: dict[str, int] = {}
    for key in order:
        operands = diagram.operands[key]
        low = [_is_low_port(diagram, operand, carried) for operand in operands]
        under = [row[operand] for operand in operands if operand in row]
        if diagram.kind(key) == "gate" or (len(low) == 1 and low[0]):
            row[key] = 0
        elif under or any(low):
            row[key] = 1 + max(under, default=0)
    for key in reversed(order):  # what reads the rails only hangs over its readers
        if key not in row:
            row[key] = 1 + max((row.get(reader, 0) for reader in diagram.readers[key]), default=0)
    return row


def _is_low_port(diagram: Diagram, key: str, carried: set[str]) -> bool:
    """Whether a value enters at the bottom: an input, or a state that is not carried on top."""
    node = diagram.nodes[key]
    return node.kind == "input" or (node.kind == "before" and node.value not in carried)


def _in_order(diagram: Diagram) -> list[str]:
    """All nodes, operands first."""
    order: dict[str, None] = {}

    def visit(key: str) -> None:
        if key not in order:
            for operand in diagram.operands[key]:
                visit(operand)
            order[key] = None

    for key in diagram.nodes:
        visit(key)
    return list(order)


class _Columns:
    """Gives columns one after another, so that what belongs together stands together."""

    def __init__(self, diagram: Diagram, row: dict[str, int], rails: dict[str, list[str]]) -> None:
        self.diagram, self.row, self.rails = diagram, row, rails
        self.rail_of = {key: state for state, keys in rails.items() for key in keys}
        self.column: dict[str, int] = {}
        self.taken: set[tuple[int, int]] = set()
        self.last_low = -1  # the last column of the row of gates
        self.last_on = dict.fromkeys(rails, -1)

    def run(self) -> dict[str, int]:
        diagram = self.diagram
        for state in self.rails:
            self.visit(diagram.updates[state])
        for key in (*diagram.updates.values(), *reversed(diagram.nodes)):
            self.visit(key)
        return self.column

    def visit(self, key: str) -> None:
        kind = self.diagram.kind(key)
        if key in self.column or kind in ("before", "after", "output"):
            return
        if kind == "input":
            self.place_input(key)
            return
        rail = self.rail_of.get(key)
        operands = self.diagram.operands[key]
        for operand in sorted(operands, key=lambda op: self.rail_of.get(op) != rail or not rail):
            if self.diagram.kind(operand) != "input" or kind != "join":
                self.visit(operand)
        self.place(key, [op for op in operands if op in self.column])

    def place_input(self, key: str) -> None:
        """In the column of the join that reads it, which stands already, or in one of its own."""
        joins = [r for r in self.diagram.readers[key] if self.column.get(r, -1) >= 0]
        joins = [r for r in joins if self.diagram.kind(r) == "join"]
        shared = [self.column[r] for r in joins]
        free = [c for c in shared if (c, -9) not in self.taken]
        if not free:
            self.last_low += 1
        self.column[key] = free[0] if free else self.last_low
        self.taken.add((self.column[key], -9))

    def place(self, key: str, operands: list[str]) -> None:
        row, kind = self.row.get(key, -1), self.diagram.kind(key)
        after = [self.column[op] for op in operands if self.diagram.kind(op) != "input"]
        if kind == "join" or row == 0:
            column = max([self.last_low, *after]) + 1
            while (column, 1) in self.taken and kind != "join":
                column += 1
            self.last_low = column
        elif key in self.rail_of:
            column = self.over(key, operands, max(after, default=0))
            column = max(column, self.last_on[self.rail_of[key]] + 1)
            self.last_on[self.rail_of[key]] = column
        else:
            column = self.over(key, operands, max(after, default=0))
        self.column[key] = column
        self.taken.add((column, row))
        self.reserve(key, operands)
        if kind == "join":
            for operand in self.diagram.operands[key]:
                if self.diagram.kind(operand) == "input":
                    self.visit(operand)

    def over(self, key: str, operands: list[str], column: int) -> int:
        """The first column from `column` where the node fits, over or under its operand."""
        row = self.row[key]
        for operand in operands:
            hangs = self.row.get(operand, -1) > row
            if hangs and operand in self.rail_of and self.column[operand] == column:
                column += 1
        while (column, row) in self.taken or not self.sees(key, operands, column):
            column += 1
        return column

    def sees(self, key: str, operands: list[str], column: int) -> bool:
        """Whether nothing stands between the node and an operand in its column."""
        return all(
            (column, between) not in self.taken
            for operand in operands
            if self.column[operand] == column
            for between in self.rows_between(key, operand)
        )

    def rows_between(self, key: str, operand: str) -> range:
        low, high = sorted((self.row[key], self.row.get(operand, -1)))
        return range(low + 1, high)

    def reserve(self, key: str, operands: list[str]) -> None:
        """Keep the way free between the node and an operand in its column."""
        for operand in operands:
            if self.column[operand] == self.column[key] and key in self.row:
                for between in self.rows_between(key, operand):
                    self.taken.add((self.column[key], between))

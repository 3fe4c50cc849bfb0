"""The parts of a call, one after another, in one team of threads.

Between two kernels Python finds its own memory gone from the caches: what it does there takes
several times as long as elsewhere. So all tables of a call are filled first, and then its parts
follow one another without Python.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from functools import lru_cache

import llvmlite.ir as ir
import numpy as np

from recurra.backends.cpu.barrier import write_barrier
from recurra.backends.cpu.loops import VOID, loop, share, smaller
from recurra.backends.cpu.target import Code, host, made_once
from recurra.backends.cpu.vectors import INT, POINTER, index

LINES = 128  # bytes of waiting memory that one barrier takes: nothing else shares its cache lines
PART = ("share", "table", "threads")  # what a part takes in a sheet
HEAD = ("count", "parts", "waiting", "yield")  # what a sheet begins with
MOVE = ("place", "base", "offset")  # see `_write_entries`
ROWS = ("to", "to_row", "source", "source_row", "which", "rows", "bytes")  # see `_write_rows`


class _Waiting(threading.local):
    """Memory in which the team of a thread waits: of a call, and of a kernel inside it."""

    def __init__(self) -> None:
        self.block = np.zeros(3 * LINES, np.uint8)
        self.address = self.block.ctypes.data + -self.block.ctypes.data % LINES


_waiting = _Waiting()


def waiting() -> int:
    """Where the teams that this thread starts wait: two times `LINES` bytes, 0 at first."""
    return _waiting.address


@lru_cache(maxsize=1)
def sched_yield() -> int:
    """The address of sched_yield; 0 where there is none."""
    try:
        return ctypes.cast(ctypes.CDLL(None).sched_yield, ctypes.c_void_p).value or 0
    except (AttributeError, OSError, TypeError):
        return 0


@lru_cache(maxsize=1)
def in_turn() -> int:
    """The address of the function of (sheet, member, size of the team) that runs all parts."""
    return _code().address("in_turn")


@lru_cache(maxsize=1)
def copy_rows() -> int:
    """The address of the function of (table, member, size of the team) that copies rows."""
    return _code().address("copy_rows")


@lru_cache(maxsize=1)
def enter() -> Callable[[object, object, int, object], None]:
    """What enters addresses: (bases, moves, how many, sheet), see `_write_entries`."""
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
    return kind(_code().address("enter"))


@made_once
def _code() -> Code:
    module = ir.Module("parts")
    _write_entries(module)
    _write_turns(module, write_barrier(module))
    _write_rows(module)
    return Code(str(module), host())


def _field(
    b: ir.IRBuilder, numbers: ir.Value, place: int, first: ir.Value | None = None
) -> ir.Value:
    at = index(place) if first is None else b.add(first, index(place))
    return b.load(b.gep(numbers, [at], source_etype=INT), align=8, typ=INT)


def _function(module: ir.Module, name: str) -> tuple[ir.Function, ir.IRBuilder]:
    function = ir.Function(module, ir.FunctionType(VOID, [POINTER, INT, INT]), name)
    function.attributes.add("nounwind")
    return function, ir.IRBuilder(function.append_basic_block("entry"))


def _write_turns(module: ir.Module, barrier: ir.Function) -> None:
    """Each part by as many members as it wants; then all wait for one another."""
    function, b = _function(module, "in_turn")
    sheet, me, team = function.args
    count, parts, arrived, give_way = (_field(b, sheet, k) for k in range(len(HEAD)))
    parts = b.inttoptr(parts, POINTER)
    kind = ir.FunctionType(VOID, [POINTER, INT, INT])

    def part(b: ir.IRBuilder, number: ir.Value) -> None:
        first = b.mul(number, index(len(PART)))
        with b.if_then(b.icmp_signed(">", b.mul(number, b.sub(team, index(1))), index(0))):
            b.call(barrier, [arrived, give_way, team])
        own, table, most = (_field(b, parts, k, first) for k in range(len(PART)))
        size = smaller(b, team, most)
        with b.if_then(b.icmp_signed("<", me, size)):
            b.call(b.inttoptr(own, kind.as_pointer()), [b.inttoptr(table, POINTER), me, size])

    loop(b, index(0), count, 1, part, "parts")
    b.ret_void()


def _write_entries(module: ir.Module) -> None:
    """Each move says where an address goes in a sheet, its base, and the bytes from there."""
    kind = ir.FunctionType(VOID, [POINTER, POINTER, INT, POINTER])
    function = ir.Function(module, kind, "enter")
    bases, moves, count, sheet = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))

    def move(b: ir.IRBuilder, number: ir.Value) -> None:
        first = b.mul(number, index(len(MOVE)))
        place, base, offset = (_field(b, moves, k, first) for k in range(len(MOVE)))
        address = b.add(_field(b, bases, 0, base), offset)
        b.store(address, b.gep(sheet, [place], source_etype=INT), align=8)

    loop(b, index(0), count, 1, move, "moves")
    b.ret_void()


def _write_rows(module: ir.Module) -> None:
    """Rows of so many bytes from one place to another, each member some of them.

    Its table: to, bytes from a row to the next, from, the same there, the numbers of the rows to
    read (64-bit integers; 0 for all in their order), rows, bytes of a row.
    """
    function, b = _function(module, "copy_rows")
    table, me, team = function.args
    to, to_row, source, source_row, which, rows, size = (
        _field(b, table, k) for k in range(len(ROWS))
    )
    low, high = share(b, rows, me, team)
    kind = ir.FunctionType(VOID, [POINTER, POINTER, INT, ir.IntType(1)])
    copy = ir.Function(module, kind, "llvm.memcpy.p0.p0.i64")
    numbered = b.icmp_signed("!=", which, index(0))

    def row(b: ir.IRBuilder, k: ir.Value) -> None:
        before = b.block
        with b.if_then(numbered):
            number = _field(b, b.inttoptr(which, POINTER), 0, k)
            there = b.block
        place = b.phi(INT)
        place.add_incoming(k, before)
        place.add_incoming(number, there)
        goal = b.inttoptr(b.add(to, b.mul(k, to_row)), POINTER)
        start = b.inttoptr(b.add(source, b.mul(place, source_row)), POINTER)
        b.call(copy, [goal, start, size, ir.Constant(ir.IntType(1), 0)])

    loop(b, low, high, 1, row, "rows")
    b.ret_void()

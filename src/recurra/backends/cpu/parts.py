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

from recurra.backends.cpu import threads
from recurra.backends.cpu.barrier import Barrier
from recurra.backends.cpu.loops import VOID, loop, share, smaller
from recurra.backends.cpu.shared import written
from recurra.backends.cpu.target import Code, host, made_once
from recurra.backends.cpu.vectors import INT, POINTER, index

LINES = 128  # bytes of waiting memory that one barrier takes: nothing else shares its cache lines
PART = ("share", "table", "threads")  # what a part takes in a sheet
HEAD = ("count", "parts", "waiting", "yield")  # what a sheet begins with
MOVE = ("place", "base", "offset")  # see `_write_fill`
CLOSED = ("blank", "moves", "bytes", "count", "team", *threads.TEAM)  # see `Sheet.close`
ROWS = ("to", "to_row", "source", "source_row", "which", "rows", "bytes")  # see `_write_rows`
_NOT_VOLATILE = ir.Constant(ir.IntType(1), 0)


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
def fill() -> Callable[[object, object, object], None]:
    """What makes the sheet of a call: (closed sheet, bases, where), see `_write_fill`."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(_code().address("fill"))


@lru_cache(maxsize=1)
def launch() -> Callable[[object, object], None]:
    """What makes the sheet of a call and runs it in OpenMP's team: (closed sheet, bases)."""
    return ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 2)(_code().address("launch"))


@made_once
def _code() -> Code:
    module = ir.Module("parts")
    fill = _write_fill(module)
    _write_launch(module, fill, _write_turns(module, written(module, Barrier())))
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


def _write_turns(module: ir.Module, barrier: ir.Function) -> ir.Function:
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
    return function


def _write_fill(module: ir.Module) -> ir.Function:
    """A copy of the blank sheet, with the addresses that a call has its own.

    Each move says where an address goes in a sheet, its base, and the bytes from there. The first
    base is the sheet itself.
    """
    kind = ir.FunctionType(VOID, [POINTER] * 3)
    function = ir.Function(module, kind, "fill")
    closed, bases, sheet = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    names = ("blank", "moves", "bytes", "count")
    blank, moves, size, count = (_field(b, closed, CLOSED.index(name)) for name in names)
    moves = b.inttoptr(moves, POINTER)
    b.call(_copying(module), [sheet, b.inttoptr(blank, POINTER), size, _NOT_VOLATILE])
    b.store(b.ptrtoint(sheet, INT), bases, align=8)

    def move(b: ir.IRBuilder, number: ir.Value) -> None:
        first = b.mul(number, index(len(MOVE)))
        place, base, offset = (_field(b, moves, k, first) for k in range(len(MOVE)))
        address = b.add(_field(b, bases, 0, base), offset)
        b.store(address, b.gep(sheet, [place], source_etype=INT), align=8)

    loop(b, index(0), count, 1, move, "moves")
    b.ret_void()
    return function


def _write_launch(module: ir.Module, fill: ir.Function, turns: ir.Function) -> None:
    """A call: its sheet, on the stack of its thread, and the team that goes through the parts."""
    function = ir.Function(module, ir.FunctionType(VOID, [POINTER] * 2), "launch")
    closed, bases = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))
    size, team = (_field(b, closed, CLOSED.index(name)) for name in ("bytes", "team"))
    sheet = b.alloca(INT, b.udiv(size, index(8)))
    sheet.align = LINES
    b.call(fill, [closed, bases, sheet])
    with b.if_else(b.icmp_signed("==", team, index(1))) as (alone, together):
        with alone:
            b.call(turns, [sheet, index(0), index(1)])
        with together:
            places = [_field(b, closed, CLOSED.index(name)) for name in threads.TEAM]
            threads.write_team(b, turns, sheet, team, places)
    b.ret_void()


def _copying(module: ir.Module) -> ir.Function:
    """LLVM's copy of memory: (to, from, bytes, volatile)."""
    name = "llvm.memcpy.p0.p0.i64"
    known = module.globals.get(name)
    kind = ir.FunctionType(VOID, [POINTER, POINTER, INT, ir.IntType(1)])
    return known or ir.Function(module, kind, name)


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
    copy = _copying(module)
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
        b.call(copy, [goal, start, size, _NOT_VOLATILE])

    loop(b, low, high, 1, row, "rows")
    b.ret_void()

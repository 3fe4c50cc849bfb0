"""Running a kernel in torch's own team of OpenMP threads.

A second pool of threads would fight torch's, whose idle members spin for a while.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial
from pathlib import Path

import llvmlite.ir as ir
import torch

from recurra.backends.cpu.loops import VOID
from recurra.backends.cpu.target import Code, host, made_once
from recurra.backends.cpu.vectors import INT, POINTER, index

# A share of a kernel: the address of its table, the number of a member, the size of the team.
_SHARE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_ZERO, _ONE = ctypes.c_int64(0), ctypes.c_int64(1)
TEAM = ("parallel", "member", "number", "size")  # addresses of functions, see `team`
_PARALLEL = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


@lru_cache(maxsize=1)
def openmp() -> ctypes.CDLL | None:
    """The OpenMP library that torch has loaded, if it is GNU's."""
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        library = ctypes.CDLL(str(path))
        if hasattr(library, "GOMP_parallel"):
            library.GOMP_parallel.argtypes = _PARALLEL
            library.GOMP_parallel.restype = None
            return library
    return None


@lru_cache(maxsize=1)
def addresses() -> tuple[int, int]:
    """Where omp_get_thread_num and omp_get_num_threads begin; 0 without an OpenMP library."""
    library = openmp()
    if library is None:
        return 0, 0
    functions = (library.omp_get_thread_num, library.omp_get_num_threads)
    number, size = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions)
    return number, size


@lru_cache(maxsize=1)
def team() -> tuple[int, ...]:
    """Where GOMP_parallel, what each member calls, and the `addresses` begin; 0 without OpenMP."""
    library = openmp()
    if library is None:
        return (0,) * len(TEAM)
    parallel = ctypes.cast(library.GOMP_parallel, ctypes.c_void_p).value or 0
    return parallel, _member(), *addresses()


def write_team(
    b: ir.IRBuilder, share: ir.Function, table: ir.Value, count: ir.Value, places: list[ir.Value]
) -> None:
    """Code that runs all shares of a kernel at once; see `ready`.

    Args:
        b: where it goes.
        share: the function of (table, member, size of the team).
        table: its first argument.
        count: how many threads share the work, at most.
        places: the addresses of `team`.
    """
    parallel, member, *asked = places
    context = b.alloca(INT, 2 + len(asked))
    for number, value in enumerate((b.ptrtoint(share, INT), b.ptrtoint(table, INT), *asked)):
        b.store(value, b.gep(context, [index(number)], source_etype=INT), align=8)
    short = ir.IntType(32)
    kind = ir.FunctionType(VOID, [POINTER, POINTER, short, short])
    begin = b.inttoptr(parallel, kind.as_pointer())
    wanted = b.trunc(count, short)
    b.call(begin, [b.inttoptr(member, POINTER), context, wanted, ir.Constant(short, 0)])


def run(share: int, table: int, threads: int) -> None:
    """Run all shares of a kernel at once; see `ready`."""
    ready(share, table, threads)()


def ready(share: int, table: int, threads: int) -> Callable[[], object]:
    """What runs all shares of a kernel at once, as often as it is called.

    Args:
        share: address of the function of (table, member, size of the team).
        table: address of its table.
        threads: how many share the work, at most; a kernel is told how many do.
    """
    library = openmp()
    if threads == 1:
        return partial(_callable(share), ctypes.c_void_p(table), _ZERO, _ONE)
    if library is not None:
        context = (ctypes.c_int64 * 4)(share, table, *addresses())
        return partial(library.GOMP_parallel, _member(), context, threads, 0)

    def in_pool() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda k: _callable(share)(table, k, threads), range(threads)))

    return in_pool


@cache
def _callable(address: int) -> Callable[..., None]:
    return _SHARE(address)


@lru_cache(maxsize=1)
def _member() -> int:
    return _code().address("member")


@made_once
def _code() -> Code:
    """What each thread of an OpenMP team calls: its own share.

    Its argument points to the addresses of the share, of the table, of omp_get_thread_num and of
    omp_get_num_threads: the team may be smaller than it was asked to be.
    """
    module = ir.Module("member")
    function = ir.Function(module, ir.FunctionType(VOID, [POINTER]), "member")
    b = ir.IRBuilder(function.append_basic_block("entry"))
    ask = ir.FunctionType(ir.IntType(32), [])
    share = ir.FunctionType(VOID, [POINTER, INT, INT])
    context = [
        b.load(b.gep(function.args[0], [index(k)], source_etype=INT), align=8, typ=INT)
        for k in range(4)
    ]
    me, team = (
        b.zext(b.call(b.inttoptr(place, ask.as_pointer()), []), INT) for place in context[2:]
    )
    table = b.inttoptr(context[1], POINTER)
    b.call(b.inttoptr(context[0], share.as_pointer()), [table, me, team])
    b.ret_void()
    return Code(str(module), host())

"""Running a kernel in torch's own team of OpenMP threads.

A second pool of threads would fight torch's, whose idle members spin for a while.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import torch

_TEAM = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
_ROWS = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@lru_cache(maxsize=1)
def openmp() -> ctypes.CDLL | None:
    """The OpenMP library that torch has loaded, if it is GNU's."""
    for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        library = ctypes.CDLL(str(path))
        if hasattr(library, "GOMP_parallel"):
            return library
    return None


def addresses() -> tuple[int, int]:
    """Where omp_get_thread_num and omp_get_num_threads begin; 0 without an OpenMP library."""
    library = openmp()
    if library is None:
        return 0, 0
    functions = (library.omp_get_thread_num, library.omp_get_num_threads)
    number, size = (ctypes.cast(function, ctypes.c_void_p).value or 0 for function in functions)
    return number, size


def teams_are_whole() -> bool:
    """Whether OpenMP gives as many threads as are asked for; the environment may forbid it."""
    library = openmp()
    if library is None:
        return True
    most = library.omp_get_thread_limit()
    return not library.omp_get_dynamic() and most >= torch.get_num_threads()


def run(team: int, rows: int, table: int, count: int, threads: int) -> None:
    """Run a kernel over `count` rows.

    Args:
        team: address of the function that a team calls.
        rows: address of the function for a range of rows.
        table: address of the table.
        count: B.
        threads: how many share the rows.
    """
    library = openmp()
    one = ctypes.cast(rows, _ROWS)
    if threads == 1:
        one(table, 0, count)
    elif library is not None:
        ctypes.cast(library.GOMP_parallel, _TEAM)(team, table, threads, 0)
    else:
        bounds = [count * k // threads for k in range(threads + 1)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda k: one(table, bounds[k], bounds[k + 1]), range(threads)))

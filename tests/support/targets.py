"""Kernels for a processor that is chosen, in the place of the one that runs the tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import llvmlite.binding as llvm
import pytest

from recurra.backends.cpu.target import Target, host, target_for

_AVX2 = ("avx", "avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt", "movbe", "sse4.2", "xsave")


def _features(*names: str) -> dict[str, bool]:
    return dict.fromkeys(names, True)


def runnable() -> dict[str, Target | None]:
    """Targets of this architecture by name; None: this machine cannot run them."""
    here = llvm.get_host_cpu_features()
    x86 = "x86_64" in llvm.get_default_triple()
    avx512 = host() if here.get("avx512f") else None
    avx2 = here.get("avx2") and here.get("fma")
    return {
        "avx512": avx512,
        "avx2": target_for("x86-64-v3", _features(*_AVX2)) if avx2 else None,
        "sse": target_for("x86-64", _features("sse2")) if x86 else None,
    }


@contextmanager
def compiling_for(target: Target) -> Iterator[None]:
    """Every kernel is compiled for a target, and none for it stays in a cache."""
    with pytest.MonkeyPatch.context() as patch:
        modules = [m for name, m in sys.modules.items() if name.startswith("recurra.backends.cpu")]
        for module in modules:
            if getattr(module, "host", None) is host:
                patch.setattr(module, "host", lambda: target)
        _forget(modules)
        try:
            yield
        finally:
            _forget(modules)


def _forget(modules: list[object]) -> None:
    """Empty what these modules remember."""
    for module in modules:
        for value in vars(module).values():
            if hasattr(value, "cache_clear") and value is not host:
                value.cache_clear()

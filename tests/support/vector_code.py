"""A single vector function of the CPU backend, compiled by itself and run over an array."""

from __future__ import annotations

import ctypes

import llvmlite.ir as ir
import numpy as np

from recurra.backends.cpu.loops import loop
from recurra.backends.cpu.target import Code, host
from recurra.backends.cpu.vectors import INT, POINTER, Vectors, index


def run_function(name: str, x: np.ndarray) -> np.ndarray:
    """`Vectors.<name>` of every number of x, (N,) float32 or float64."""
    form = host().form(x.dtype.itemsize * 8)
    module = ir.Module("one")
    kind = ir.FunctionType(ir.VoidType(), [POINTER, POINTER, INT])
    function = ir.Function(module, kind, "run")
    source, target, count = function.args
    b = ir.IRBuilder(function.append_basic_block("entry"))

    def body(b: ir.IRBuilder, k: ir.Value) -> None:
        v = Vectors(b, form)
        value = v.load(b.gep(source, [k], source_etype=form.scalar), form.lanes)
        place = b.gep(target, [k], source_etype=form.scalar)
        v.store(getattr(v, name)(value), place, form.lanes)

    loop(b, index(0), count, form.lanes, body, "all")
    b.ret_void()
    code = Code(str(module), host())
    padded = np.zeros(-(-len(x) // form.lanes) * form.lanes, x.dtype)
    padded[: len(x)] = x
    result = np.empty_like(padded)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    call(code.address("run"))(padded.ctypes.data, result.ctypes.data, len(padded))
    return result[: len(x)]

"""The processor: its vectors, its registers, and LLVM's code for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import llvmlite.binding as llvm

from recurra.backends.cpu.vectors import Format


@dataclass(frozen=True)
class Target:
    """What code is made for.

    Attributes:
        cpu: LLVM's name of the processor.
        features: LLVM's list of what it can.
        vector_bytes: of a vector.
        accumulators: vectors that a product may keep in registers, beside its operands.
    """

    cpu: str
    features: str
    vector_bytes: int
    accumulators: int

    def form(self, bits: int) -> Format:
        """Vectors of float32 or float64."""
        return Format(bits, self.vector_bytes * 8 // bits)


@lru_cache(maxsize=1)
def host() -> Target:
    """The processor that this runs on."""
    features = llvm.get_host_cpu_features()
    cpu, flat = llvm.get_host_cpu_name(), features.flatten()
    if features.get("avx512f"):
        return Target(cpu, flat + ",-prefer-256-bit", 64, 24)
    if features.get("avx2") and features.get("fma"):
        return Target(cpu, flat, 32, 12)
    if features.get("neon"):
        return Target(cpu, flat, 16, 24)
    return Target(cpu, flat, 16, 12)


class Code:
    """Machine code of a module, kept as long as this object lives.

    Args:
        text: LLVM IR.
        target: the processor.
    """

    def __init__(self, text: str, target: Target) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = llvm.parse_assembly(text)
        module.verify()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=target.cpu, features=target.features, opt=3
        )
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_unrolling = False
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins."""
        return int(self._engine.get_function_address(name))

"""The processor: its vectors, its registers, and LLVM's code for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import TypeVar

import llvmlite
import llvmlite.binding as llvm

from recurra.backends.cpu import cache
from recurra.backends.cpu.vectors import Format

_PASSES = {"speed_level": 2, "loop_unrolling": False}
_EMISSION = 3  # LLVM's level of effort

_T = TypeVar("_T")


@dataclass(frozen=True)
class Target:
    """What code is made for.

    Attributes:
        cpu: LLVM's name of the processor.
        features: LLVM's list of what it can.
        vector_bytes: of a vector.
        accumulators: vectors that a product may keep in registers, beside its operands.
        triple: LLVM's name of architecture and system; empty for those of this process.
    """

    cpu: str
    features: str
    vector_bytes: int
    accumulators: int
    triple: str = ""

    def form(self, bits: int) -> Format:
        """Vectors of float32 or float64."""
        return Format(bits, self.vector_bytes * 8 // bits)

    def machine(self) -> llvm.TargetMachine:
        """LLVM's generator of code."""
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        triple = self.triple or llvm.get_default_triple()
        found = llvm.Target.from_triple(triple)
        return found.create_target_machine(cpu=self.cpu, features=self.features, opt=_EMISSION)

    @property
    def identity(self) -> tuple[str, ...]:
        """All that decides, beside its text, what a module is compiled to."""
        release = ".".join(map(str, llvm.llvm_version_info))
        triple = self.triple or llvm.get_default_triple()
        return (
            *(llvmlite.__version__, release, repr(_PASSES), str(_EMISSION)),
            *(triple, self.cpu, self.features),
        )


def target_for(cpu: str, features: Mapping[str, bool], triple: str = "") -> Target:
    """The widest vectors of a processor, and as many of its registers as sums may fill.

    Args:
        cpu: LLVM's name of it.
        features: LLVM's name of each feature, and whether it is there.
        triple: see `Target`.
    """
    flat = ",".join(f"{'+' if there else '-'}{name}" for name, there in sorted(features.items()))
    if features.get("avx512f"):
        wide = (
            f"{flat},-prefer-256-bit"  # some processors ask for half vectors, to keep their clock
        )
        return Target(cpu, wide, 64, 24, triple)
    if features.get("avx2") and features.get("fma"):
        return Target(cpu, flat, 32, 12, triple)
    if features.get("neon"):
        return Target(cpu, flat, 16, 24, triple)
    # 16 registers; where a product is rounded before it is added, it needs one of its own.
    return Target(cpu, flat, 16, 9, triple)


@lru_cache(maxsize=1)
def host() -> Target:
    """The processor that this runs on."""
    return target_for(llvm.get_host_cpu_name(), llvm.get_host_cpu_features())


def optimized(text: str, machine: llvm.TargetMachine) -> llvm.ModuleRef:
    """LLVM IR, checked and improved for a processor."""
    module = llvm.parse_assembly(text)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    module.verify()
    options = llvm.create_pipeline_tuning_options()
    for name, value in _PASSES.items():
        setattr(options, name, value)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def object_code(text: str, target: Target) -> bytes:
    """LLVM IR as an object file."""
    machine = target.machine()
    code: bytes = machine.emit_object(optimized(text, machine))
    return code


class Code:
    """Machine code of a module, kept as long as this object lives.

    Args:
        text: LLVM IR.
        target: the processor.
        called: the code of each function that it declares and has not.
    """

    def __init__(self, text: str, target: Target, called: Mapping[str, Code] | None = None) -> None:
        called = called or {}
        self.text, self._called = text, called
        identity = (text, *(code.text for code in called.values()), *target.identity)
        code = cache.fetch(identity, lambda: object_code(text, target))
        frame = llvm.parse_assembly("".join(f'declare void @"{name}"()\n' for name in called))
        self._engine = llvm.create_mcjit_compiler(frame, target.machine())
        for name, other in called.items():
            self._engine.add_global_mapping(frame.get_function(name), other.address(name))
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(code))
        self._engine.finalize_object()

    def address(self, name: str) -> int:
        """Where a function begins."""
        return int(self._engine.get_function_address(name))


def made_once(function: Callable[..., _T]) -> Callable[..., _T]:
    """A function of few values whose results are made once and kept for ever.

    Threads may ask at the same time: the address of a function outlives all but its code.
    """
    known: dict[object, _T] = {}
    lock = threading.RLock()

    @wraps(function)
    def once(*given: object) -> _T:
        if given not in known:
            with lock:
                if given not in known:
                    known[given] = function(*given)
        return known[given]

    return once

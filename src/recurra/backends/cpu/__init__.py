"""The CPU backend: fused kernels, printed from the graph as LLVM IR."""

from recurra.backends.cpu.backend import Cpu

__all__ = ["Cpu"]

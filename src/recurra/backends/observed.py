"""Whether tensors are what they seem: plain memory, and nobody who looks at PyTorch's operators."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import forward_ad

PLAIN = (Tensor, torch.nn.Parameter)  # what PyTorch traces, and what others make of it, is neither


def holds_values(tensor: Tensor) -> bool:
    """Whether the memory of a tensor holds its values.

    PyTorch only notes of some views that they are negated (the imaginary part of a conjugate), and
    of some gradients that they are 0.
    """
    return not tensor.is_neg() and not tensor._is_zerotensor()


def transformed() -> bool:
    """Whether PyTorch traces, vectorises or differentiates forward what runs."""
    return (
        torch._C._get_tracing_state() is not None
        or torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
    )


def moded() -> bool:
    """Whether a compiler or a mode of the dispatcher is there: tensors may have no values then."""
    return torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() > 0


def observed() -> bool:
    """Whether a compiler, a mode of the dispatcher, or the profiler looks at operators."""
    return moded() or torch._C._autograd._profiler_enabled()

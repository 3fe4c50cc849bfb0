"""Devices, precision and processes, by way of accelerate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator as Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, distributed

from recurra.errors import RunError, UsageError
from recurra.training.options import TrainingOptions


@contextmanager
def group(options: TrainingOptions) -> Iterator[Accelerator]:
    """All processes of this training: one, or those that torchrun started.

    They share the rows of a batch and average their gradients, which gives the step of one process
    up to rounding. With dropout it is another step of the same kind: each draws its own masks.

    Raises:
        UsageError: the device is not here, or does not know the precision.
        RunError: another process ended before this one.
    """
    device = _device(options.device)
    if options.precision == "fp16" and device != "cuda":
        raise UsageError(f"precision fp16 needs a CUDA device, not {device}. Take bf16 or no.")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    joined_here = not distributed.is_initialized()
    # accelerate keeps the first settings of a process and refuses others; a second fit may differ.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision=options.precision)
    try:
        yield accelerator
        accelerator.wait_for_everyone()  # gloo aborts a process whose peer has left already
    except RuntimeError as error:
        if "gloo" in str(error) or isinstance(error, distributed.DistError):
            raise RunError(
                "another process of this training ended first; its own message says why."
            ) from error
        raise
    finally:
        if joined_here and distributed.is_initialized():
            distributed.destroy_process_group()


def rows(batch_size: int, accelerator: Accelerator) -> slice:
    """The rows of the batch that belong to this process.

    Raises:
        UsageError: the batch cannot be divided equally.
    """
    count = accelerator.num_processes
    if batch_size % count:
        raise UsageError(
            f"batch size {batch_size} cannot be shared equally by {count} processes. "
            f"Take a multiple of {count}."
        )
    share = batch_size // count
    return slice(accelerator.process_index * share, (accelerator.process_index + 1) * share)


def joined(tensor: Tensor, accelerator: Accelerator, dim: int = 0) -> Tensor:
    """The tensors of all processes one after the other along `dim`, on every process."""
    if accelerator.num_processes == 1:
        return tensor
    parts: Any = accelerator.gather(tensor.to(accelerator.device).movedim(dim, 0).contiguous())
    return parts.movedim(0, dim).to(tensor.device)


def _device(wanted: str) -> str:
    """The kind of device; a number in `wanted` becomes the current CUDA device."""
    here = {
        "cpu": True,
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if wanted == "auto":
        return next(kind for kind in ("cuda", "mps", "cpu") if here[kind])
    kind, _, number = wanted.partition(":")
    if not here[kind]:
        raise UsageError(f"device {wanted!r} is not on this machine. Take auto or cpu.")
    if number:
        if int(number) >= torch.cuda.device_count():
            raise UsageError(f"there are {torch.cuda.device_count()} CUDA devices, no {wanted!r}.")
        if "LOCAL_RANK" in os.environ:
            raise UsageError(f"each process takes its own device. Give cuda instead of {wanted!r}.")
        torch.cuda.set_device(int(number))
    return kind

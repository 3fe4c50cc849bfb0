"""One call of a layer on the fused kernels and on the reference, compared in all that it gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra import Recurrent
from recurra.backends import choice
from recurra.backends.backend import Backend
from recurra.backends.cpu import Cpu
from recurra.backends.reference import Reference


@contextmanager
def running_on(backend: Backend) -> Iterator[None]:
    """Every call on one backend."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "BACKENDS", (backend,))
        yield


def layer_of(cell: str, i: int, h: int, dtype: torch.dtype, **options: Any) -> Recurrent:
    """A layer whose weights do not depend on what ran before."""
    torch.manual_seed(1)
    return Recurrent(cell, i, h, dtype=dtype, **options)


def everything(layer: Recurrent, x: Tensor, **call: Any) -> dict[str, Tensor]:
    """Output, last states, and every gradient of a weighted sum of them.

    Args:
        x: (T, B, I), in any arrangement of its memory; its gradient is asked for.
        call: further arguments of the call.
    """
    random = torch.Generator().manual_seed(7)

    def draw(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=random, dtype=like.dtype)

    x = x.detach().requires_grad_()
    given = layer.initial_state(x.shape[1])
    given = (given,) if isinstance(given, Tensor) else tuple(given)
    start = tuple(draw(part).requires_grad_() for part in given)
    output, last = layer(x, start if len(start) > 1 else start[0], **call)
    last = (last,) if isinstance(last, Tensor) else tuple(last)
    found = {"output": output} | {f"state {k}": part for k, part in enumerate(last)}
    total = torch.stack([(value * draw(value)).sum() for value in found.values()]).sum()
    wanted = {"x": x} | {f"start {k}": part for k, part in enumerate(start)}
    wanted |= dict(layer.named_parameters())
    gradients = torch.autograd.grad(total, list(wanted.values()))
    found |= {f"d {name}": d for name, d in zip(wanted, gradients, strict=True)}
    return {name: value.detach() for name, value in found.items()}


def fused(layer: Recurrent, x: Tensor, **call: Any) -> dict[str, Tensor]:
    """See `everything`; by kernels, whatever the size."""
    with running_on(Cpu(least=0)):
        return everything(layer, x, **call)


def fused_on(threads: Iterable[int], layer: Recurrent, x: Tensor) -> list[dict[str, Tensor]]:
    """`fused` with each of these numbers of threads."""
    before, found = torch.get_num_threads(), []
    try:
        for number in threads:
            torch.set_num_threads(number)
            found.append(fused(layer, x))
    finally:
        torch.set_num_threads(before)
    return found


def plain(layer: Recurrent, x: Tensor, **call: Any) -> dict[str, Tensor]:
    """See `everything`; by PyTorch."""
    with running_on(Reference()):
        return everything(layer, x, **call)


def assert_same(layer: Recurrent, x: Tensor, **call: Any) -> None:
    """Kernels give what the reference gives, to rounding."""
    tolerance = 1e-10 if x.dtype is torch.float64 else 3e-5
    mine, other = fused(layer, x, **call), plain(layer, x, **call)
    assert list(mine) == list(other)
    for name, value in mine.items():
        torch.testing.assert_close(
            value,
            other[name],
            rtol=tolerance,
            atol=tolerance,
            msg=lambda text, name=name: f"{name}: {text}",
        )

"""The recurrent layers of a model, recurra's and torch's, with visitors on each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from recurra.errors import UsageError, WeightsError
from recurra.nn import from_torch
from recurra.nn.visitor import Visitor, visiting
from recurra.nn.weighted import Weighted

ROOT = "rnn"  # the path of a model that is itself the layer
_NEAR = {torch.float32: 1e-4, torch.float64: 1e-10}


def module_of(model: Any) -> nn.Module:
    """The module behind a model, or behind what `recurra.load` gave, as its attribute `model`.

    Raises:
        UsageError: it is neither.
    """
    found = model if isinstance(model, nn.Module) else getattr(model, "model", None)
    if isinstance(found, nn.Module):
        return found
    raise UsageError(f"a {type(model).__name__} is no model; give a torch.nn.Module or a run.")


def reading(model: Any, inputs: Any) -> tuple[nn.Module, Any]:
    """The module behind a model, and its inputs: a text becomes what a run reads of it.

    Raises:
        UsageError: as `module_of`.
    """
    own = getattr(model, "inputs", None)
    if isinstance(inputs, str) and callable(own) and not isinstance(model, nn.Module):
        inputs = own(inputs)
    return module_of(model), inputs


def layers(model: nn.Module) -> dict[str, Weighted | nn.RNNBase]:
    """The recurrent layers of a model by their path, in its own order.

    Raises:
        UsageError: there is none.
    """
    found = {
        _own_path(path) or ROOT: module
        for path, module in model.named_modules()
        if isinstance(module, Weighted | nn.RNNBase)
    }
    if not found:
        raise UsageError(
            f"{type(model).__name__} has no recurrent layer: no recurra.Recurrent and no "
            "torch.nn.RNN, LSTM or GRU. A loop over cells of torch can be written as one of these."
        )
    return found


def _own_path(path: str) -> str:
    """The path without what torch.compile wraps around a module."""
    return ".".join(name for name in path.split(".") if name != "_orig_mod")


def _eager() -> AbstractContextManager[object]:
    """Within it nothing runs as torch.compile made it: compiled code would not meet a visitor."""
    if "torch._dynamo" not in sys.modules:  # nothing was compiled, and its import takes seconds
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


@contextmanager
def visited(
    model: nn.Module, visitor: Callable[[str, Weighted], Visitor], replacing: bool
) -> Iterator[None]:
    """Within it, each recurrent layer of the model has a visitor, and nothing runs compiled.

    Args:
        model: any module.
        visitor: makes the visitor of a layer, from its path and the layer.
        replacing: whether layers of torch give out what their twin of recurra computes; else their
            own output, which the twin's must equal.

    Raises:
        UsageError: the model has no recurrent layer.
    """
    with ExitStack() as stack:
        stack.enter_context(_eager())
        for path, module in layers(model).items():
            if isinstance(module, Weighted):
                layer = module
            else:
                layer = stack.enter_context(_twin_of(path, module, replacing))
            stack.enter_context(visiting(layer, visitor(path, layer)))
        yield


class _Twin:
    """A layer of torch, run again by its namesake in recurra, with the very same parameters.

    All that look into a layer share one twin, or an edit would not show in a recording.
    """

    def __init__(self, path: str, module: nn.RNNBase) -> None:
        self.path, self.module = path, module
        self.layer = from_torch(module)
        for name, parameter in module.named_parameters(remove_duplicate=False):
            setattr(self.layer, name, parameter)
        self.users: list[bool] = []  # for each whether it replaces the output
        self.handle = module.register_forward_hook(self.run, with_kwargs=True)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Twin:
        return self  # the hook that goes along with a copy of the module does nothing there

    def run(self, called: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        """What the module gives out in the place of `output`; None: just that."""
        if called is not self.module or not self.users:  # a copy, which has the hook too
            return None
        again = self.layer.train(called.training)(*args, **kwargs)
        if any(self.users):
            return again
        _compare(self.path, output, again)
        return None


_TWINS: WeakKeyDictionary[nn.Module, _Twin] = WeakKeyDictionary()


@contextmanager
def _twin_of(path: str, module: nn.RNNBase, replacing: bool) -> Iterator[Weighted]:
    twin = _TWINS.get(module) or _Twin(path, module)
    _TWINS[module] = twin
    twin.users.append(replacing)
    try:
        yield twin.layer
    finally:
        twin.users.remove(replacing)
        if not twin.users:
            twin.handle.remove()
            _TWINS.pop(module, None)


def _compare(path: str, theirs: Any, ours: Any) -> None:
    """Refuse to go on if the twin gives out something else.

    Raises:
        WeightsError: it does.
    """
    for their, our in zip(_tensors(theirs), _tensors(ours), strict=True):
        near = _NEAR.get(their.dtype, 1e-2)
        if not torch.allclose(their.to(our), our, rtol=near, atol=near, equal_nan=True):
            most = (their.to(our) - our).abs().max().item()
            raise WeightsError(
                f"{path} gives out something else than its equations do (by up to {most:.2g}): the "
                "layer is changed by a hook or a subclass. Record the layer without it."
            )


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data]
    return [tensor for one in value for tensor in _tensors(one)]

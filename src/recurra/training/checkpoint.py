"""A checkpoint: any tree of tensors and plain values in one file that is whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from recurra.errors import CheckpointError
from recurra.training.files import read_tensors, write_tensors


def save(path: Path, tree: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
    """Write `tree`: dicts, lists and tuples of tensors, numbers, texts, truths and None.

    `identity` says what the values belong to; `load` compares it.

    Raises:
        RunError: the disk is full or cannot be written; the old checkpoint is as it was.
    """
    tensors: dict[str, Tensor] = {}
    form = _flatten(dict(tree), "", tensors)
    write_tensors(path, tensors, json.dumps({"identity": identity, "tree": form}))


def load(path: Path, identity: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Read the tree that `save` wrote, tensors on the CPU.

    Raises:
        CheckpointError: the file is missing or damaged, or belongs to another `identity`.
    """
    tensors, text = read_tensors(path)
    try:
        content = json.loads(text)
        tree = _unflatten(content["tree"], tensors)
        found = content["identity"]
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{path} holds tensors, but is no checkpoint of recurra.") from None
    if identity is not None:
        _compare(path, found, json.loads(json.dumps(identity)))
    return dict(tree)


def _compare(path: Path, found: dict[str, Any], given: dict[str, Any]) -> None:
    names = [name for name in {**found, **given} if found.get(name) != given.get(name)]
    if names:
        list_ = ", ".join(f"{n} is {given.get(n)!r} now and {found.get(n)!r} there" for n in names)
        raise CheckpointError(
            f"{path} belongs to another configuration: {list_}. "
            "Resume with the same values, or train anew with --overwrite."
        )


def _flatten(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """`value` as JSON, its tensors replaced by their names. Every container is tagged."""
    if isinstance(value, Tensor):
        tensors[path] = value
        return {"tensor": path}
    if isinstance(value, Mapping):
        items = [(key, _flatten(item, f"{path}/{key}", tensors)) for key, item in value.items()]
        return {"dict": items}
    if isinstance(value, list | tuple):
        parts = [_flatten(item, f"{path}/{i}", tensors) for i, item in enumerate(value)]
        return {"tuple" if isinstance(value, tuple) else "list": parts}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{path} is a {type(value).__name__}, which a checkpoint cannot hold")


def _unflatten(form: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(form, dict):
        return form
    ((kind, content),) = form.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {key: _unflatten(item, tensors) for key, item in content}
    parts = [_unflatten(item, tensors) for item in content]
    return tuple(parts) if kind == "tuple" else parts

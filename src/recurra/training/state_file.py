"""The states of a model at every position of a text, in a file that is mapped into memory.

`NAME.npy` holds them as (N, H), a format that NumPy and others read; `NAME.json` says what they
are and has their SHA-256. What is not whole, or of something else, is never used.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recurra.errors import RunError
from recurra.training.files import write_whole

_BLOCK = 2**20


def read(path: Path, identity: Mapping[str, Any]) -> NDArray[np.floating] | None:
    """The states (N, H), mapped; None if the file is missing, damaged or of another `identity`."""
    try:
        said = json.loads(_label(path).read_text(encoding="utf-8"))
        if said["identity"] != dict(identity):
            return None
        with open(path, "rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != said["sha256"]:
                return None
        mapped: NDArray[np.floating] = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return mapped if list(mapped.shape) == said.get("shape") else None


def write(
    path: Path,
    identity: Mapping[str, Any],
    shape: tuple[int, int],
    dtype: np.dtype[Any],
    blocks: Iterable[NDArray[np.floating]],
) -> None:
    """Write states by way of a draft beside them; the older file stays until the new one is whole.

    Args:
        path: of the file, which ends in ".npy".
        identity: what the states are of; `read` compares it.
        shape: (N, H).
        dtype: float16 or float32.
        blocks: the rows, in parts (n, H).

    Raises:
        RunError: the disk is full or cannot be written.
    """
    draft = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "wb") as file:
            _write_header(file, shape, dtype)
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype).data)
            file.flush()
            os.fsync(file.fileno())
        with open(draft, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.replace(draft, path)
    except OSError as error:
        size = shape[0] * shape[1] * dtype.itemsize
        raise RunError(
            f"cannot write {path}: {error.strerror}. The states of this text take {size:,} bytes: "
            "make room, or name another folder with --index."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    label = {"identity": dict(identity), "shape": list(shape), "sha256": digest}
    write_whole(_label(path), json.dumps(label, indent=2).encode())


def _write_header(file: Any, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
    form = {
        "descr": np.lib.format.dtype_to_descr(dtype),
        "fortran_order": False,
        "shape": shape,
    }
    np.lib.format.write_array_header_1_0(file, form)


def _label(path: Path) -> Path:
    return path.with_suffix(".json")

"""Tensor files that are written whole or not at all, and that notice any damage.

A tensor file is safetensors with one entry of metadata, `recurra`: the SHA-256 over all that
follows, a space, and a text of the caller. (The order of several entries would change from one
process to the next, and equal content must be equal bytes.)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from recurra.files import write_whole


class DamagedFileError(Exception):
    """A tensor file whose content is not what was written; the text says how that shows."""


def write_tensors(path: Path, tensors: Mapping[str, Tensor], text: str = "") -> None:
    """Write tensors and a text to one file, whole or not at all.

    Raises:
        OSError: the disk is full or cannot be written; the old file is as it was.
    """
    # Copies, because safetensors refuses tensors that share their memory, such as tied weights.
    copies = {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }
    write_whole(path, save(copies, {"recurra": f"{_digest(copies, text)} {text}"}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read what `write_tensors` wrote, onto the CPU.

    Raises:
        OSError: it cannot be read.
        DamagedFileError: it was damaged, or written by another program.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise DamagedFileError(str(error)) from None
    digest, _, text = metadata.get("recurra", "").partition(" ")
    if digest != _digest(tensors, text):
        raise DamagedFileError("its content does not match its checksum")
    return tensors, text


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

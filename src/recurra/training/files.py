"""The files of a run: written whole or not at all, with a remedy in every error; see `files`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from recurra import files, tensor_files
from recurra.errors import CheckpointError, RunError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file; the old content stays until all is on disk.

    Raises:
        RunError: the disk is full or cannot be written; the old file is as it was.
    """
    try:
        files.write_whole(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], text: str = "") -> None:
    """Write tensors and a text to one file, whole or not at all.

    Raises:
        RunError: the disk is full or cannot be written; the old file is as it was.
    """
    try:
        tensor_files.write_tensors(path, tensors, text)
    except OSError as error:
        raise _unwritable(path, error) from error


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read what `write_tensors` wrote, onto the CPU.

    Raises:
        CheckpointError: the file is missing, damaged, or was written by another program.
    """
    try:
        return tensor_files.read_tensors(path)
    except FileNotFoundError:
        raise CheckpointError(f"there is no {path}. Train first, or give another run.") from None
    except (OSError, tensor_files.DamagedFileError) as error:
        raise CheckpointError(
            f"{path} is damaged: {error}. Put back a copy of it, or train anew with --overwrite."
        ) from None


def _unwritable(path: Path, error: OSError) -> RunError:
    kept = " What it held before is kept." if path.exists() else ""
    return RunError(
        f"cannot write {path}: {error.strerror}.{kept} "
        "Make room on the disk or correct its permissions, then go on with --resume."
    )

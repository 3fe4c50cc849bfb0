"""The states of a model after every character of a text, on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recurra.data.text import TextBlocks
from recurra.data.vocabulary import warn_of_unknown
from recurra.errors import DataError, RunError, UsageError
from recurra.inspection import Recording, record
from recurra.training import state_file
from recurra.training.loading import LoadedText

_STEPS = 2000  # characters read in a call of the model
_FORMAT = 1

Told = Callable[[int, int], None]  # how many characters are read, of how many


def states_of(
    loaded: LoadedText,
    text: TextBlocks,
    value: str,
    dtype: np.dtype[Any],
    path: Path,
    told: Told,
) -> tuple[NDArray[np.floating], bool]:
    """The states (N, H) of a text, from the file if it is of this text and these weights.

    Args:
        loaded: the model, which reads the text from its start to its end.
        text: of N characters.
        value: address of a vector.
        dtype: float16 or float32.
        path: of the file.
        told: hears how many characters are read, of how many.

    Returns:
        the states, mapped, and whether the file was used again.

    Raises:
        DataError: the text is empty, or changed while it was read.
        UsageError: a value is too large for `dtype`.
        RunError: the file cannot be written.
    """
    length, digest = _survey(text)
    if not length:
        raise DataError(f"{text.name} is empty. Give a text.")
    identity = {
        "format": _FORMAT,
        "value": value,
        "dtype": dtype.name,
        "characters": length,
        "text": digest,
        "vocabulary": hashlib.sha256(loaded.vocabulary.to_json().encode()).hexdigest(),
        "model": _fingerprint(loaded),
    }
    found = state_file.read(path, identity)
    if found is not None:
        return found, True
    size = recorded(loaded, torch.zeros(1, 1, dtype=torch.int64), value).values[value].shape[-1]
    blocks = _read(loaded, text, value, dtype, (length, digest), told)
    state_file.write(path, identity, (length, size), dtype, blocks)
    found = state_file.read(path, identity)
    if found is None:
        raise RunError(f"{path} was changed by another program while it was written. Try again.")
    return found, False


def _survey(text: TextBlocks) -> tuple[int, str]:
    """How many characters a text has, and their SHA-256."""
    length, digest = 0, hashlib.sha256()
    for block in text:
        length += len(block)
        digest.update(block.encode("utf-8", "surrogatepass"))
    return length, digest.hexdigest()


def _fingerprint(loaded: LoadedText) -> str:
    """The SHA-256 of what decides the states: the options of the model and its weights."""
    digest = hashlib.sha256(repr(sorted(loaded.config.model.items())).encode())
    for name, tensor in sorted(loaded.model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read(
    loaded: LoadedText,
    text: TextBlocks,
    value: str,
    dtype: np.dtype[Any],
    survey: tuple[int, str],
    told: Told,
) -> Iterator[NDArray[np.floating]]:
    """The states of a text in parts (n, H), each going on from the state of the one before."""
    state, done, digest, unknown = None, 0, hashlib.sha256(), dict[str, None]()
    for block in text:
        digest.update(block.encode("utf-8", "surrogatepass"))
        unknown |= dict.fromkeys(loaded.vocabulary.unknown(block))
        tokens = torch.from_numpy(loaded.vocabulary.encode(block)).unsqueeze(1)
        for part in tokens.split(_STEPS):
            told(done, survey[0])
            recording = recorded(loaded, part, value, state)
            _, state = recording.output
            done += len(part)
            yield _kept(recording.values[value][:, 0].cpu().float().numpy(), dtype, value)
    told(done, survey[0])
    if (done, digest.hexdigest()) != survey:
        raise DataError(f"{text.name} changed while it was read. Try again.")
    warn_of_unknown(unknown)


def _kept(values: NDArray[np.float32], dtype: np.dtype[Any], value: str) -> NDArray[np.floating]:
    """The values in the format in which they are kept.

    Raises:
        UsageError: a value is too large for it.
    """
    with np.errstate(over="ignore"):
        kept = values.astype(dtype)
    if (np.isinf(kept) & np.isfinite(values)).any():
        most = np.abs(values).max()
        raise UsageError(f"{value} reaches {most:.3g}, too much for {dtype}. Take --dtype float32.")
    return kept


def recorded(
    loaded: LoadedText, tokens: Tensor, value: str | None = None, state: Any = None
) -> Recording:
    """What a model does with the tokens (T, B), going on from a state."""
    with torch.inference_mode():
        return record(loaded.model, (tokens.to(loaded.device), state), value)

"""Recordings on disk: one safetensors file, its equations and items in the header.

The text of the file (see `recurra.tensor_files`) is JSON: `format`, `parts` (by address: cell,
graph as `recurra.graph.serial` writes it, sizes, layer, direction), `values` and `before`
(addresses in order), `items` and `vocabulary`. The tensors are called `value/ADDRESS`,
`before/ADDRESS`, `lengths` and `logits`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from recurra.errors import RecordingError, UsageError
from recurra.graph.serial import dumps, loads
from recurra.inspection.recording import Part, Recording
from recurra.tensor_files import DamagedFileError, read_tensors, write_tensors

_FORMAT = 1


def save(recording: Recording, path: str | Path, overwrite: bool = False) -> None:
    """Write a recording to a file, whole or not at all; see `Recording.save`."""
    path = Path(path)
    if path.exists() and not overwrite:
        raise RecordingError(f"{path} exists. Choose another name, or say overwrite=True.")
    tensors = {f"value/{address}": value for address, value in recording.values.items()}
    tensors |= {f"before/{address}": value for address, value in recording.before.items()}
    further = {"lengths": recording.lengths, "logits": recording.logits}
    tensors |= {name: value for name, value in further.items() if value is not None}
    try:
        write_tensors(path, tensors, json.dumps(_facts(recording)))
    except OSError as error:
        kept = " What it held before is kept." if path.exists() else ""
        raise RecordingError(
            f"cannot write {path}: {error.strerror}.{kept} "
            "Make room on the disk, or choose another folder."
        ) from error


def load_recording(path: str | Path) -> Recording:
    """The recording that `Recording.save` wrote, on the CPU, without model and output.

    Raises:
        RecordingError: the file is missing or damaged, or is no recording.
    """
    try:
        tensors, text = read_tensors(Path(path))
    except FileNotFoundError:
        raise RecordingError(f"there is no {path}. Save a recording first.") from None
    except (OSError, DamagedFileError) as error:
        raise RecordingError(f"{path} is damaged: {error}. Record and save it anew.") from None
    try:
        facts = json.loads(text)
        if facts["format"] != _FORMAT:
            raise RecordingError(
                f"{path} is written in format {facts['format']}, and this version of recurra reads "
                f"format {_FORMAT}. Record and save it anew."
            )
        return _recording(facts, tensors)
    except (ValueError, TypeError, LookupError, UsageError) as error:
        raise RecordingError(
            f"{path} holds tensors, but is no recording of recurra ({type(error).__name__}: "
            f"{error}). Give a file that Recording.save wrote."
        ) from None


def _facts(recording: Recording) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "parts": {
            name: {
                "cell": part.cell,
                "graph": dumps(part.graph),
                "sizes": dict(part.sizes),
                "layer": part.layer,
                "direction": part.direction,
            }
            for name, part in recording.parts.items()
        },
        "values": list(recording.values),
        "before": list(recording.before),
        "items": recording.items,
        "vocabulary": recording.vocabulary,
    }


def _recording(facts: dict[str, Any], tensors: dict[str, Tensor]) -> Recording:
    return Recording(
        values={address: tensors[f"value/{address}"] for address in facts["values"]},
        before={address: tensors[f"before/{address}"] for address in facts["before"]},
        parts={
            name: Part(**{**part, "graph": loads(part["graph"])})
            for name, part in facts["parts"].items()
        },
        lengths=tensors.get("lengths"),
        items=tuple(map(tuple, facts["items"])),
        logits=tensors.get("logits"),
        vocabulary=tuple(facts["vocabulary"]),
    )

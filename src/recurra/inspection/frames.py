"""A recording as a data frame: one line for each number."""

from __future__ import annotations

from typing import Any

import numpy as np

from recurra.errors import UnknownNameError, UsageError
from recurra.inspection.recording import Recording


def frame(recording: Recording, pattern: str = "*") -> Any:
    """See `Recording.to_frame`."""
    try:
        import pandas
    except ImportError:
        raise UsageError(
            "a data frame needs pandas, which is not installed: pip install 'recurra[frames]'."
        ) from None
    addresses = recording.find(pattern)
    if not addresses:
        raise UnknownNameError("value", pattern, recording.values)
    tables = [_columns(recording, address) for address in addresses]
    lines = [len(table["value"]) for table in tables]
    columns: dict[str, Any] = {}
    for place, name in enumerate(("part", "name")):
        texts = [address.rpartition(".")[2 * place] for address in addresses]
        kinds = list(dict.fromkeys(texts))
        codes = np.repeat([kinds.index(text) for text in texts], lines)
        columns[name] = pandas.Categorical.from_codes(codes, kinds)
    for name in tables[0]:
        columns[name] = np.concatenate([table[name] for table in tables])
    return pandas.DataFrame(columns)


def _columns(recording: Recording, address: str) -> dict[str, np.ndarray[Any, Any]]:
    """The columns of one value, by row, step and unit."""
    value = recording[address].detach().cpu()
    if value.dtype.itemsize < 4:
        value = value.float()  # NumPy has no bfloat16
    numbers = value.reshape(*value.shape[:2], -1).transpose(0, 1).numpy()
    rows, steps, units = numbers.shape
    alive = recording.alive[:steps].T.numpy()
    row, step = (np.repeat(index, units) for index in np.nonzero(alive))
    columns = {"row": row, "step": step}
    if recording.items:
        item = np.full((rows, steps), "", dtype=object)
        for number, items in enumerate(recording.items):
            item[number, : len(items)] = items[:steps]
        columns["item"] = np.repeat(item[alive], units)
    columns["unit"] = np.tile(np.arange(units), int(alive.sum()))
    columns["value"] = numbers[alive].reshape(-1)
    return columns

"""`search`: where in a text a unit is high or low, or the state like the one after some words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from recurra.data.text import TextBlocks, open_text
from recurra.data.vocabulary import warn_of_unknown
from recurra.errors import UnknownNameError, UsageError
from recurra.inspection.address import Address
from recurra.inspection.one_unit import one_unit, one_value
from recurra.inspection.ranking import highest
from recurra.training.loading import LoadedText, load
from recurra.training.reading import Told, recorded, states_of

DTYPES = ("float16", "float32")
_ROWS = 2**14  # states that are looked at together


@dataclass(frozen=True)
class Hit:
    """A place in a text.

    Attributes:
        position: of the character, from 0; the value is that after it was read.
        line: of the text, from 1.
        value: of the unit, or the cosine.
        before: the text up to the character.
        character: itself.
        after: the text behind it.
    """

    position: int
    line: int
    value: float
    before: str = ""
    character: str = ""
    after: str = ""


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        address: of the unit, or of the states that were compared.
        source: the text.
        characters: N, how many it has.
        highest: places, the highest first; with `like` the nearest.
        lowest: places, the lowest first; with `like` none.
        like: the words whose state was looked for.
        index: the file of the states.
        reused: whether the file was there already.
    """

    address: str
    source: str
    characters: int
    highest: tuple[Hit, ...]
    lowest: tuple[Hit, ...]
    like: str | None
    index: Path
    reused: bool


def search(
    run: str | Path | LoadedText,
    source: str,
    unit: str | None = None,
    *,
    like: str | None = None,
    of: str | None = None,
    count: int = 5,
    context: int = 30,
    index: str | Path | None = None,
    dtype: str = "float16",
    encoding: str | None = None,
    told: Told = lambda done, total: None,
) -> Found:
    """Search a text for places where a unit is extreme, or where the state is like another one.

    The model reads the text once, from its start to its end, with the state carried; the states are
    kept on disk, so that the next search of the same value needs no model. Places that are found
    are the exact first ones by the values as they are kept, and their contexts do not overlap.

    Args:
        run: a run folder of `recurra train text`, or what `recurra.load` gave.
        source: the text: a file, an http(s) address, or "-" for standard input.
        unit: the unit whose highest and lowest values are wanted: "recurrent.1.forward.c[17]".
        like: words; wanted are the states with the highest cosine to that after the last of them.
        of: which states `like` compares; None: what the last layer gives out.
        count: how many places.
        context: characters shown on each side.
        index: the folder of the states; None: beside the run, with ".index" behind its name.
        dtype: in which states are kept: "float16" (3 digits) or "float32".
        encoding: of the text; None: what it says itself, else UTF-8.
        told: hears how many characters are read, of how many.

    Raises:
        UsageError: neither or both of `unit` and `like`, or a value that is not possible.
        UnknownNameError: the model has no such value.
        DataError: the text cannot be read or is empty.
        RunError: the states cannot be written.
    """
    if (unit is None) == (like is None):
        raise UsageError("give either a unit or words to compare with: --unit or --like.")
    if dtype not in DTYPES:
        raise UnknownNameError("number format", dtype, DTYPES)
    if count < 1 or context < 0:
        raise UsageError(f"count={count}, context={context}; give 1 or more, and 0 or more.")
    loaded = run if isinstance(run, LoadedText) else load(run)
    value, column = _wanted(loaded, unit, of)
    query = None if like is None else _query(loaded, like, value)
    with open_text(source, encoding) as text:
        folder = _folder(loaded) if index is None else Path(index)
        name = hashlib.sha256(f"{text.name} {dtype}".encode()).hexdigest()[:8]
        path = folder / f"{value}-{name}.npy"
        states, reused = states_of(loaded, text, value, np.dtype(dtype), path, told)
        apart = 2 * context + 1
        if query is None:
            high = highest(_column(states, column), count, apart)
            low = highest((-part for part in _column(states, column)), count, apart)
        else:
            high, low = highest(_cosines(states, query), count, apart), []
        hits = [Hit(p, 1, v) for p, v in high] + [Hit(p, 1, -v) for p, v in low]
        hits = _with_context(hits, text, context)
    address = f"{value}[{column}]" if query is None else value
    shown = tuple(hits[: len(high)]), tuple(hits[len(high) :])
    return Found(address, text.name, len(states), *shown, like, path, reused)


def _wanted(loaded: LoadedText, unit: str | None, of: str | None) -> tuple[str, int]:
    """The address of a value, and the number of a unit in it (0 if none is named).

    Raises:
        UnknownNameError: the model has no such value.
        UsageError: the address means several, or none that is a vector.
    """
    first = recorded(loaded, torch.zeros(1, 1, dtype=torch.int64))
    if unit is None and of is None:
        last = list(first.parts)[-1]
        graph = first.parts[last].graph
        of = next(f"{last}.{name}" for name, node in graph.named if node == graph.output)
    given = of or ""
    if unit is not None:
        return one_unit(first.values, unit)
    if Address.parse(given).units is not None:
        raise UsageError(f"{given!r} names units, but states are compared as a whole.")
    return one_value(first.values, given), 0


def _query(loaded: LoadedText, words: str, value: str) -> NDArray[np.float32]:
    """(H,): the state after the last character of some words, read from the start of a text."""
    if not words:
        raise UsageError("there are no words to compare with. Give some behind --like.")
    warn_of_unknown(loaded.vocabulary.unknown(words))
    tokens = torch.from_numpy(loaded.vocabulary.encode(words)).unsqueeze(1)
    return recorded(loaded, tokens, value).values[value][-1, 0].float().numpy()


def _folder(loaded: LoadedText) -> Path:
    path = loaded.folder.path.resolve()
    return path.with_name(path.name + ".index")


def _column(states: NDArray[np.floating], unit: int) -> Iterator[NDArray[np.float32]]:
    """The values of a unit, in parts (n,)."""
    for start in range(0, len(states), _ROWS):
        yield states[start : start + _ROWS, unit].astype(np.float32)


def _cosines(
    states: NDArray[np.floating], query: NDArray[np.float32]
) -> Iterator[NDArray[np.float32]]:
    """The cosine of each state with the query, in parts (n,); 0 for a state that is zero."""
    length = max(float(np.linalg.norm(query)), 1e-30)
    unit = (query / length).astype(np.float32)
    for start in range(0, len(states), _ROWS):
        part = states[start : start + _ROWS].astype(np.float32)
        norms = np.linalg.norm(part, axis=1)
        norms[norms == 0] = 1
        yield (part @ unit / norms).astype(np.float32)


def _with_context(hits: list[Hit], text: TextBlocks, context: int) -> list[Hit]:
    """The places with the text around them, from one more pass over it."""
    start, lines = 0, 1
    for block in text:
        stop = start + len(block)
        for number, hit in enumerate(hits):
            p = hit.position
            low, high = max(start, p - context), min(stop, p + context + 1)
            if low >= high:
                continue
            piece = block[low - start : high - start]
            before = hit.before + piece[: max(0, p - low)]
            after = hit.after + piece[max(0, p + 1 - low) :]
            hits[number] = replace(hit, before=before, after=after)
            if start <= p < stop:
                line = lines + block.count("\n", 0, p - start)
                hits[number] = replace(hits[number], character=block[p - start], line=line)
        start, lines = stop, lines + block.count("\n")
    return hits

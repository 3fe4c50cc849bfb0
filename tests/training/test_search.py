"""Search over a text: the states are torch's, the places exact, a bad index is never trusted."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import recurra
from recurra.data import text as reading_text
from recurra.errors import DataError, RunError, UnknownNameError, UsageError
from recurra.training import LoadedText, search, train_text
from recurra.training.config import RunConfig

TEXT = "The quick brown fox jumps over the lazy dog.\nPack my box with five dozen jugs.\n" * 12
C = "recurrent.0.forward.c"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedText:
    folder = tmp_path_factory.mktemp("run")
    (folder / "train.txt").write_text(TEXT)
    config = RunConfig().merged(
        {
            "data": {"source": str(folder / "train.txt")},
            "model": {"hidden": 12, "layers": 1},
            "training": {"epochs": 1, "batch_size": 4, "seq_len": 20, "device": "cpu"},
        }
    )
    train_text(config, folder / "book")
    return recurra.load(folder / "book")


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A text that is read in parts of 64 bytes."""
    monkeypatch.setattr(reading_text, "BLOCK", 64)
    path = tmp_path / "book.txt"
    path.write_text(TEXT[7:] + "é")
    return path


@pytest.fixture
def index(tmp_path: Path) -> Path:
    return tmp_path / "index"


@torch.no_grad()
def by_torch(loaded: LoadedText, text: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """h and c after each character, (N, H), by torch's cell."""
    own = loaded.model.recurrent
    cell = torch.nn.LSTMCell(own.input_size, own.hidden_size)
    for name, kind in (("weight_ih", "W"), ("weight_hh", "U"), ("bias_ih", "b")):
        getattr(cell, name).copy_(torch.cat([own.weight(f"{kind}_{gate}") for gate in "ifgo"]))
    cell.bias_hh.zero_()
    tokens = torch.from_numpy(loaded.vocabulary.encode(text))
    state, states = None, []
    for x in loaded.model.embedding(tokens):
        state = cell(x[None], state)
        states.append([part[0].numpy() for part in state])
    both = np.array(states)
    return both[:, 0], both[:, 1]


def test_a_units_extremes_are_those_of_torch(loaded: LoadedText, book: Path, index: Path) -> None:
    text = book.read_text()
    _, c = by_torch(loaded, text)
    with pytest.warns(UserWarning, match="never seen"):
        found = search(loaded, str(book), f"{C}[5]", context=4, index=index, dtype="float32")
    assert (found.address, found.characters, found.reused) == (f"{C}[5]", len(text), False)
    kept = np.load(found.index)
    np.testing.assert_allclose(kept, c, rtol=1e-5, atol=1e-6)
    assert found.highest[0].position == int(c[:, 5].argmax())
    assert found.lowest[0].position == int(c[:, 5].argmin())
    for hits, sign in ((found.highest, 1), (found.lowest, -1)):
        values = [hit.value for hit in hits]
        assert values == sorted(values, key=lambda value: -sign * value)
        assert values == [float(kept[hit.position, 5]) for hit in hits]
        places = sorted(hit.position for hit in hits)
        assert min(b - a for a, b in itertools.pairwise(places)) >= 9
    for hit in (*found.highest, *found.lowest):
        p = hit.position
        assert (hit.before, hit.character) == (text[max(0, p - 4) : p], text[p])
        assert hit.after == text[p + 1 : p + 5]
        assert hit.line == 1 + text[:p].count("\n")


@pytest.mark.filterwarnings("ignore:never seen")
def test_the_nearest_states_are_those_of_torch(loaded: LoadedText, book: Path, index: Path) -> None:
    h, _ = by_torch(loaded, book.read_text())
    query = by_torch(loaded, "box")[0][-1]
    cosines = h @ query / np.linalg.norm(h, axis=1) / np.linalg.norm(query)
    found = search(loaded, str(book), like="box", count=3, index=index, dtype="float32")
    assert found.address == "recurrent.0.forward.h"
    assert found.lowest == ()
    assert found.highest[0].value == pytest.approx(cosines.max(), rel=1e-4)
    assert cosines[found.highest[0].position] == pytest.approx(cosines.max(), rel=1e-4)
    same = search(loaded, str(book), like=book.read_text()[:50], of="c", index=index)
    assert (same.highest[0].position, same.address) == (49, C)
    assert same.highest[0].value == pytest.approx(1, abs=1e-3)


@pytest.mark.filterwarnings("ignore:never seen")
def test_the_index_is_used_again_and_made_anew_when_something_changed(
    loaded: LoadedText, book: Path, index: Path
) -> None:
    def reused(dtype: str = "float16") -> bool:
        return search(loaded, str(book), f"{C}[5]", index=index, dtype=dtype).reused

    assert [reused(), reused(), reused("float32"), reused("float32")] == [0, 1, 0, 1]
    assert len(list(index.iterdir())) == 4
    book.write_text(TEXT[8:])
    assert [reused(), reused()] == [0, 1]
    weight = next(loaded.model.recurrent.parameters())
    with torch.no_grad():
        weight[0, 0] += 1
    assert [reused(), reused()] == [0, 1]
    with torch.no_grad():
        weight[0, 0] -= 1
    assert len(list(index.iterdir())) == 4


HARMS = {
    "a changed byte": lambda data: data[:-30] + bytes([data[-30] ^ 1]) + data[-29:],
    "cut": lambda data: data[: len(data) // 2],
    "longer": lambda data: data + b"x",
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_index_is_made_anew(
    loaded: LoadedText, tmp_path: Path, index: Path, harm: str, suffix: str
) -> None:
    book = tmp_path / "book.txt"
    book.write_text(TEXT)
    first = search(loaded, str(book), f"{C}[5]", index=index)
    harmed = first.index.with_suffix(suffix)
    harmed.write_bytes(HARMS[harm](harmed.read_bytes()))
    again = search(loaded, str(book), f"{C}[5]", index=index)
    assert not again.reused
    assert again == first


def test_the_label_of_another_index_is_not_believed(
    loaded: LoadedText, tmp_path: Path, index: Path
) -> None:
    book = tmp_path / "book.txt"
    book.write_text(TEXT)
    path = search(loaded, str(book), f"{C}[5]", index=index).index
    label = json.loads(path.with_suffix(".json").read_text())
    for broken in ({**label, "identity": {}}, {**label, "shape": [1, 1]}, [], 3, None):
        path.with_suffix(".json").write_text(json.dumps(broken))
        assert not search(loaded, str(book), f"{C}[5]", index=index).reused


def test_an_interruption_leaves_nothing_and_the_older_index_stays(
    loaded: LoadedText, tmp_path: Path, index: Path
) -> None:
    def stop(done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    book = tmp_path / "book.txt"
    book.write_text(TEXT)
    with pytest.raises(KeyboardInterrupt):
        search(loaded, str(book), f"{C}[5]", index=index, told=stop)
    assert list(index.iterdir()) == []
    path = search(loaded, str(book), f"{C}[5]", index=index).index
    before = path.read_bytes()
    book.write_text(TEXT * 2)
    with pytest.raises(KeyboardInterrupt):
        search(loaded, str(book), f"{C}[5]", index=index, told=stop)
    assert path.read_bytes() == before
    assert len(list(index.iterdir())) == 2


def test_a_text_that_changes_while_it_is_read(loaded: LoadedText, book: Path, index: Path) -> None:
    with pytest.raises(DataError, match="changed while"):
        search(
            loaded,
            str(book),
            f"{C}[5]",
            index=index,
            told=lambda done, total: book.write_text(TEXT[::-1]) and None,  # type: ignore[func-returns-value]
        )
    assert list(index.iterdir()) == []


def test_the_index_stands_beside_the_run(loaded: LoadedText, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(TEXT)
    found = search(loaded.folder.path, str(book), f"{C}[5]")
    assert found.index.parent == loaded.folder.path.with_name("book.index").resolve()


def test_a_value_that_is_too_large_for_the_format(
    loaded: LoadedText, tmp_path: Path, index: Path
) -> None:
    book = tmp_path / "book.txt"
    book.write_text(TEXT)
    embedding = loaded.model.embedding.weight
    kept = embedding.detach().clone()
    try:
        with torch.no_grad():
            embedding.mul_(1e7)
        with pytest.raises(UsageError, match="--dtype float32"):
            search(loaded, str(book), "g_pre[5]", index=index)
        found = search(loaded, str(book), "g_pre[5]", index=index, dtype="float32")
        assert abs(found.highest[0].value) > 1e5
    finally:
        with torch.no_grad():
            embedding.copy_(kept)


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({}, UsageError, "--unit or --like"),
        ({"unit": f"{C}[1]", "like": "a"}, UsageError, "--unit or --like"),
        ({"unit": C}, UsageError, "does not name one unit"),
        ({"unit": f"{C}[1:3]"}, UsageError, "does not name one unit"),
        ({"unit": f"{C}[12]"}, UsageError, "there are 0 to 11"),
        ({"unit": f"{C}[x]"}, UsageError, "is no address"),
        ({"unit": "recurrent.0.forward.q[1]"}, UnknownNameError, "unknown value"),
        ({"unit": "*[1]"}, UsageError, "means several values"),
        ({"like": ""}, UsageError, "no words"),
        ({"like": "a", "of": f"{C}[1]"}, UsageError, "as a whole"),
        ({"like": "a", "dtype": "int8"}, UnknownNameError, "float16"),
        ({"like": "a", "count": 0}, UsageError, "count=0"),
    ],
)
def test_mistakes(
    loaded: LoadedText, tmp_path: Path, given: dict[str, Any], kind: type[Exception], said: str
) -> None:
    book = tmp_path / "book.txt"
    book.write_text(TEXT)
    with pytest.raises(kind, match=said):
        search(loaded, str(book), **given, index=tmp_path / "index")
    assert list(tmp_path.iterdir()) == [book]


def test_an_index_that_cannot_be_written(loaded: LoadedText, tmp_path: Path) -> None:
    book = tmp_path / "book.txt"
    book.write_text(TEXT)
    with pytest.raises(RunError, match="--index"):
        search(loaded, str(book), f"{C}[5]", index=book)
    book.write_text("")
    with pytest.raises(DataError, match="empty"):
        search(loaded, str(book), f"{C}[5]", index=tmp_path / "index")

"""Recordings on disk and as frames."""

from __future__ import annotations

import builtins
import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import recurra
from recurra import Recurrent, cells
from recurra.errors import RecordingError, UnknownNameError, UsageError
from recurra.inspection import Recording, load_recording
from recurra.tensor_files import write_tensors

T, B, I, H = 4, 2, 3, 5


@pytest.fixture
def recording() -> Recording:
    torch.manual_seed(0)
    layer = Recurrent("lstm_projection", I, H, 2, bidirectional=True, sizes={"P": 2})
    found = recurra.record(layer, torch.randn(T, B, I), lengths=[4, 2])
    hostile = ("a", "\n", "<b>&", "\U0001f600\u202e")
    return replace(
        found,
        items=(hostile, ("\ud800", "x")),
        logits=torch.randn(T, B, 3).to(torch.bfloat16),
        vocabulary=("<unk>", "a", "\u202e"),
    )


@pytest.fixture
def path(recording: Recording, tmp_path: Path) -> Path:
    recording.save(tmp_path / "one.safetensors")
    return tmp_path / "one.safetensors"


def assert_equal(ours: Recording, theirs: Recording) -> None:
    for name in ("values", "before"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert list(mine) == list(other)
        for key in mine:
            assert mine[key].dtype == other[key].dtype
            assert torch.equal(mine[key], other[key])
    for name in ("lengths", "logits"):
        mine, other = getattr(ours, name), getattr(theirs, name)
        assert (mine is None) == (other is None)
        assert mine is None or torch.equal(mine, other)
    assert (ours.items, ours.vocabulary) == (theirs.items, theirs.vocabulary)
    assert list(ours.parts) == list(theirs.parts)
    for mine, other in zip(ours.parts.values(), theirs.parts.values(), strict=True):
        assert recurra.graph.text(mine.graph) == recurra.graph.text(other.graph)
        assert (mine.cell, mine.layer, mine.direction) == (other.cell, other.layer, other.direction)
        assert dict(mine.sizes) == dict(other.sizes)


def test_what_is_loaded_is_what_was_saved(recording: Recording, path: Path) -> None:
    loaded = load_recording(path)
    assert_equal(loaded, recording)
    assert loaded.model is None
    assert loaded.output is None
    assert repr(loaded) == repr(recording)
    assert torch.equal(loaded["rnn.1.reverse.f[3]"], recording["rnn.1.reverse.f[3]"])
    with safe_open(path, "pt") as file:  # as any other program reads it
        assert torch.equal(file.get_tensor("value/rnn.0.forward.c"), recording["rnn.0.forward.c"])


@pytest.mark.parametrize("name", ["elman", "mlstm", "clockwork", "lstm_phased", "rg_lru"])
def test_every_form_of_graph_comes_back(name: str, tmp_path: Path) -> None:
    layer = Recurrent(name, H, H)
    with recurra.edit(layer, {layer.graph.state_names[0]: 0.5}, steps=1):
        graph = cells.get(name).graph
        inputs = {
            str(leaf.attribute): torch.rand(T, B, 1)
            for leaf in graph.inputs
            if leaf.attribute not in ("x", "t")
        }
        recording = recurra.record(layer, {"x": torch.randn(T, B, H), "inputs": inputs})
    recording.save(tmp_path / "it")
    assert_equal(load_recording(tmp_path / "it"), recording)


def test_nothing_is_overwritten_unasked(recording: Recording, path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(RecordingError, match=r"exists. Choose another name, or say overwrite=True"):
        recording.save(path)
    assert path.read_bytes() == before
    replace(recording, items=()).save(path, overwrite=True)
    assert load_recording(path).items == ()
    recording.save(path, overwrite=True)
    assert path.read_bytes() == before  # equal content is equal bytes


def test_a_full_disk_leaves_what_was_there(
    recording: Recording, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RecordingError, match=r"No space left on device. What it held .* is kept"):
        recording.save(path, overwrite=True)
    with pytest.raises(RecordingError, match=r"No space left on device. Make room"):
        recording.save(path.with_name("two"))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    with pytest.raises(RecordingError, match="No such file or directory"):
        recording.save(path.parent / "none" / "two")


def test_any_damage_is_noticed(path: Path) -> None:
    content = path.read_bytes()
    for at in (3, 40, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(RecordingError, match=r"damaged|no recording"):
            load_recording(path)
    for size in (0, 5, 100, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(RecordingError, match="is damaged"):
            load_recording(path)


def test_what_is_no_recording_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there is no"):
        load_recording(tmp_path / "none")
    with pytest.raises(RecordingError, match="is damaged: "):
        load_recording(tmp_path)
    save_file({"x": torch.ones(1)}, tmp_path / "other")
    with pytest.raises(RecordingError, match="does not match its checksum"):
        load_recording(tmp_path / "other")
    for text in ("", "{}", "[1]", '{"format": 1}', json.dumps({"format": 1, "values": ["a"]})):
        write_tensors(tmp_path / "text", {"x": torch.ones(1)}, text)
        with pytest.raises(RecordingError, match="is no recording of recurra"):
            load_recording(tmp_path / "text")
    write_tensors(tmp_path / "text", {}, '{"format": 2}')
    with pytest.raises(RecordingError, match="written in format 2"):
        load_recording(tmp_path / "text")


def test_a_frame_has_a_line_for_each_number(recording: Recording) -> None:
    pytest.importorskip("pandas")
    frame = recording.to_frame("*.c")
    assert list(frame.columns) == ["part", "name", "row", "step", "item", "unit", "value"]
    assert len(frame) == 4 * (4 + 2) * H
    assert set(frame["name"]) == {"c"}
    one = frame[(frame.part == "rnn.1.reverse") & (frame.row == 1) & (frame.step == 1)]
    assert one["item"].tolist() == ["x"] * H
    assert one["unit"].tolist() == list(range(H))
    assert one["value"].tolist() == recording["rnn.1.reverse.c"][1, 1].tolist()
    assert not ((frame.row == 1) & (frame.step >= 2)).any()
    whole = replace(recording, items=()).to_frame()
    assert "item" not in whole
    assert len(whole) == sum(value[0, 0].numel() for value in recording.values.values()) * 6
    total = sum(value.double().sum().item() for value in recording.values.values())
    assert whole["value"].astype("float64").sum() == pytest.approx(total, rel=1e-5)
    with pytest.raises(UnknownNameError, match="unknown value"):
        recording.to_frame("q")


def test_a_frame_of_maps_and_matrices() -> None:
    pytest.importorskip("pandas")
    found = recurra.record(recurra.ConvGRU(1, 2, 3, dims=1), torch.randn(T, B, 1, 6), "h")
    frame = found.to_frame()
    assert frame["unit"].max() == 11
    value = frame[(frame.row == 1) & (frame.step == 2)]["value"].tolist()
    assert value == found["rnn.0.forward.h"][2, 1].flatten().tolist()
    half = replace(found, values={k: v.bfloat16() for k, v in found.values.items()})
    assert half.to_frame()["value"].dtype == "float32"


def test_without_pandas_it_says_so(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match=r"pip install 'recurra\[frames\]'"):
        recording.to_frame()

"""A trained model of text: recorded while it reads, edited while it writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import recurra
from recurra.data import UnknownCharacterWarning
from recurra.errors import UnknownNameError, UsageError
from recurra.inspection import (
    Hold,
    gradients_through_time,
    influence_matrix,
    integrated_gradients,
    load_recording,
    spectral_radii,
)
from recurra.inspection import measure as measured
from recurra.training import LoadedText, RunConfig, load, train_text

TEXT = "the cat sat on the mat. a rat ate the oat.\n" * 30


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LoadedText:
    folder = tmp_path_factory.mktemp("text")
    (folder / "book.txt").write_text(TEXT)
    config = RunConfig(
        data={"source": str(folder / "book.txt")},
        model={"hidden": 16, "layers": 2, "embedding": 8},
        training={"batch_size": 4, "seq_len": 20, "epochs": 1, "lr": 0.02},
    )
    train_text(config, folder / "run")
    return load(folder / "run")


def test_each_character_with_what_the_model_expected_after_it(
    run: LoadedText, tmp_path: Path
) -> None:
    recording = recurra.record(run, "the cat\n")
    assert recording.items == (tuple("the cat\n"),)
    assert recording.vocabulary == run.vocabulary.symbols
    tokens = torch.from_numpy(run.vocabulary.encode("the cat\n"))[:, None]
    with torch.no_grad():
        logits, state = run.model(tokens)
    assert recording.logits is not None
    assert torch.equal(recording.logits, logits)
    assert recording.logits.shape == (8, 1, len(run.vocabulary))
    assert torch.equal(recording["recurrent.1.forward.h"][-1], state[0][1])
    assert torch.equal(recording["recurrent.0.forward.c"][-1], state[1][0])
    assert not any(value.requires_grad for value in recording.values.values())
    some = run.record("the cat\n", names=["*.f", "recurrent.1.forward.c"])
    assert list(some.values) == [
        *("recurrent.0.forward.f", "recurrent.1.forward.f", "recurrent.1.forward.c")
    ]
    some.save(tmp_path / "some.safetensors")
    assert load_recording(tmp_path / "some.safetensors").items == recording.items


def test_measures_read_a_text_as_the_model_does(run: LoadedText) -> None:
    text = "the cat\n"
    tokens = run.inputs(text)
    assert tokens[:, 0].tolist() == run.vocabulary.encode(text).tolist()
    for measure in (gradients_through_time, integrated_gradients, influence_matrix):
        own, of_tokens = measure(run, text), measure(run.model, tokens)
        torch.testing.assert_close(as_tensor(own), as_tensor(of_tokens), rtol=0, atol=0)
    assert spectral_radii(run) == spectral_radii(run.model)
    found = {one.key: one for one in measured(run.record(text), tokens)}
    assert not found["influence"].missing
    assert found["influence"].matrix is not None
    with pytest.raises(UsageError, match="no text to read"):
        gradients_through_time(run, "")


def as_tensor(found: Any) -> torch.Tensor:
    if isinstance(found, dict):
        return torch.cat([one.values for one in found.values()], -1)
    return found if isinstance(found, torch.Tensor) else found.values


def test_a_long_text_in_one_call(run: LoadedText) -> None:
    name = "recurrent.1.forward.c"
    recording = run.record(TEXT * 8, name)
    assert recording[name].shape == (len(TEXT) * 8, 1, 16)
    short = run.record(TEXT[:9])  # on another backend, by its size
    torch.testing.assert_close(recording[name][:9], short[name], rtol=1e-5, atol=1e-5)


def test_what_it_does_not_know(run: LoadedText) -> None:
    with pytest.warns(UnknownCharacterWarning, match="'ß'"):
        recording = run.record("caß")
    assert recording.items == (("c", "a", "ß"),)
    with pytest.raises(UsageError, match="no text to read"):
        run.record("")
    with pytest.raises(UnknownNameError, match="recurrent"):
        run.record("cat", "recurrent.2.forward.f")


def test_it_writes_with_held_values(run: LoadedText) -> None:
    def text() -> str:
        return run.generate("the cat ", max_new=60, seed=3)

    plain = text()
    with recurra.edit(run, {"recurrent.1.forward.h": 0.0}):
        held = text()  # the head sees nothing: what it writes depends on its biases alone
        with torch.no_grad():
            tokens = torch.from_numpy(run.vocabulary.encode("cat"))[:, None]
            assert torch.equal(run.model(tokens)[0][2, 0], run.model.head.bias)
    assert held != plain
    with recurra.edit(run, {"recurrent.1.forward.h": Hold(0.0, steps=slice(20, None))}):
        later = text()
    assert later[:13] == plain[:13]  # step 20 is the first that the 14th character follows from
    assert later != plain
    assert text() == plain

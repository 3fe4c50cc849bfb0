"""Looking inside while training: the measures are true, and the training does not notice."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from test_exact_resume import OPTIONS, _Stopper, assert_same, untimed
from tiny_task import TinyTask
from torch import nn

import recurra
from recurra.errors import Interrupted, UsageError
from recurra.inspection import check_health, gradients_through_time
from recurra.inspection.summary import summary
from recurra.training import LoadedText, Reporter, TrainingOptions, fit
from recurra.training.checkpoint import load
from recurra.training.metrics import read
from recurra.training.progress import LineReporter

EVERY = 5


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "run"
    fit(TinyTask(), out, TrainingOptions(**OPTIONS))
    return out


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("looked") / "run"
    fit(TinyTask(), out, TrainingOptions(**OPTIONS, inspect_every=EVERY))
    return out


def lines(run: Path, inside: bool) -> list[Any]:
    records = map(untimed, read(run / "metrics.jsonl"))
    return [record for record in records if (record["split"] == "inspection") == inside]


def test_the_training_does_not_notice(plain: Path, looked: Path) -> None:
    runs = (plain, looked)
    assert_same(*[untimed(load(run / "checkpoints/last.safetensors")) for run in runs])
    first, second = [(run / "model.safetensors").read_bytes() for run in runs]
    assert first == second
    assert_same(*[lines(run, inside=False) for run in runs])
    assert lines(plain, inside=True) == []
    assert [line["step"] for line in lines(looked, inside=True)] == [5, 10, 15, 20, 25, 30]


def test_a_run_that_is_stopped_again_and_again_has_the_same_lines(
    tmp_path: Path, looked: Path
) -> None:
    out, options = tmp_path / "run", TrainingOptions(**OPTIONS, inspect_every=EVERY)
    for _ in range(40):
        try:
            fit(TinyTask(), out, options, resume=out.exists(), reporter=_Stopper())
            break
        except Interrupted:
            continue
    assert_same(lines(out, inside=True), lines(looked, inside=True))
    assert_same(lines(out, inside=False), lines(looked, inside=False))


def test_the_numbers_are_those_of_the_model(tmp_path: Path) -> None:
    class Keeper(Reporter):
        def started(self, session: Any) -> None:
            self.session = session

        def inspected(self, record: Any) -> None:
            model = self.session.plain_model
            assert model.training
            assert all(parameter.grad is None for parameter in model.parameters())
            self.model, self.record = {k: v.clone() for k, v in model.state_dict().items()}, record

    task, keeper = TinyTask(), Keeper()
    fit(task, tmp_path / "run", TrainingOptions(epochs=1, inspect_every=11), reporter=keeper)
    model = task.build_model()
    model.load_state_dict(keeper.model)
    inputs = (task.streams[:20],)
    health = check_health(recurra.record(model, inputs))
    wanted = summary(health, gradients_through_time(model, inputs))
    own = {key: value for key, value in keeper.record.items() if key in wanted}
    assert_same(json.loads(json.dumps(own)), json.loads(json.dumps(wanted)))
    with torch.no_grad():  # torch's own layer, its gates by hand in the first step
        cell = model.lstm
        x = model.embedding(inputs[0])[0]
        gates = x @ cell.weight_ih_l0.T + cell.bias_ih_l0 + cell.bias_hh_l0
        first = gates.chunk(4, -1)[1].sigmoid()
        recorded = recurra.record(model, inputs)["lstm.0.forward.f"][0]
    torch.testing.assert_close(first, recorded)
    shut = (recurra.record(model, inputs)["lstm.0.forward.f"] < 0.1).float().mean().item()
    assert own["gates"]["lstm.0.forward.f"]["below"] == pytest.approx(shut)


def test_a_line_is_strict_json(looked: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    for line in (looked / "metrics.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=refuse)


class Blind(TinyTask):
    def probe(self, device: torch.device) -> Any:
        return None


class Flat(TinyTask):
    def build_model(self) -> nn.Module:
        return nn.Linear(1, 1)


@pytest.mark.parametrize(("task", "said"), [(Blind, "`probe`"), (Flat, "no recurrent layer")])
def test_what_cannot_be_looked_into_is_refused_at_the_start(
    tmp_path: Path, task: type[TinyTask], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        fit(task(), tmp_path / "run", TrainingOptions(epochs=1, inspect_every=2))
    assert not (tmp_path / "run").exists()


def test_warnings_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Stuck(TinyTask):
        def build_model(self) -> nn.Module:
            model: Any = super().build_model()
            with torch.no_grad():
                model.lstm.bias_ih_l0[10:20] = -30  # the forget gate
            return model

    options = TrainingOptions(epochs=1, inspect_every=6)
    fit(Stuck(), tmp_path / "run", options, reporter=LineReporter())
    said = [line for line in capsys.readouterr().err.splitlines() if "inside: " in line]
    assert len(said) == 1
    assert "lstm.0.forward.f is below 0.1 in 100% of its values" in said[0]
    assert said[0].startswith("step      6")


@pytest.mark.parametrize("length", [25, 300, 9000])
def test_a_text_of_any_length_has_a_probe(tmp_path: Path, length: int) -> None:
    corpus = recurra.data.TextCorpus.from_text("abcde" * (length // 5))
    task = recurra.TextGeneration(corpus, batch_size=1, seq_len=5)
    (tokens,) = task.probe(torch.device("cpu"))
    steps, rows = tokens.shape
    assert (steps, rows) == {25: (2, 1), 300: (7, 4), 9000: (100, 4)}[length]
    held_out = corpus.validation[: steps * rows]
    assert tokens.T.flatten().tolist() == held_out.tolist()


def test_a_text_run_writes_its_measures(tmp_path: Path) -> None:
    from recurra.tasks import TextOptions

    corpus = recurra.data.TextCorpus.from_text("to be or not to be, " * 100)
    task = recurra.TextGeneration(corpus, TextOptions(hidden=8, layers=1), 4, 20)
    history = recurra.fit(task, tmp_path / "run", TrainingOptions(epochs=1, inspect_every=10))
    found = [record for record in history.records if record["split"] == "inspection"]
    assert [record["step"] for record in found] == [10, 20]
    assert set(found[0]["gates"]) == {f"recurrent.0.forward.{gate}" for gate in "ifo"}
    gradient = found[0]["gradients"]["recurrent.0.forward.c"]
    assert 0 < gradient["factor"] < 10
    assert all(math.isfinite(radius) for radius in found[0]["spectral_radii"].values())
    assert all(record["split"] == "validation" for record in history.validation)
    assert isinstance(recurra.load(tmp_path / "run"), LoadedText)

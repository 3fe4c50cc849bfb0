"""Options and configurations: defaults, refusals, files, merging; the learning rate they give."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from recurra.errors import UnknownNameError, UsageError
from recurra.training import RunConfig, TrainingOptions
from recurra.training.schedule import Schedule


def test_an_end_is_always_set() -> None:
    assert TrainingOptions().epochs == 10
    assert TrainingOptions(minutes=3).epochs is None
    assert TrainingOptions(epochs=2, minutes=3).epochs == 2


def test_texts_are_read_as_numbers() -> None:
    """YAML reads 1e-3 as a text."""
    options = TrainingOptions(lr="1e-3", epochs="4", clip_norm="none")
    assert (options.lr, options.epochs, options.clip_norm) == (0.001, 4, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1}, "option lr cannot be -1: it should be greater than 0"),
        ({"lr": "fast"}, "option lr cannot be 'fast': it should be a valid number"),
        ({"lr": math.nan}, "option lr cannot be nan"),
        ({"epochs": 0}, "option epochs cannot be 0"),
        ({"batch_size": 2.5}, "option batch_size cannot be 2.5"),
        ({"schedule": "stairs"}, "option schedule cannot be 'stairs': it should be 'constant'"),
        ({"schedule": "cosine", "minutes": 1}, "'cosine' must know where training ends"),
        ({"device": "gpu"}, "unknown device 'gpu'. Give auto, cpu, cuda"),
        ({"learning_rate": 1}, "unknown option 'learning_rate'"),
        ({"clip_nrom": 1}, "unknown option 'clip_nrom'. Did you mean 'clip_norm'?"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainingOptions(**options)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    config = RunConfig(
        data={"source": "bücher/ä.txt"},
        model={"hidden": 20, "cell": "gru"},
        training={"lr": 1e-5, "epochs": 3, "clip_norm": None, "precision": "no"},
    )
    (tmp_path / "c.yaml").write_text(config.text(), encoding="utf-8")
    assert RunConfig.load(tmp_path / "c.yaml") == config
    assert set(TrainingOptions.model_fields) <= set(config.text().replace(":", " ").split())


def test_merging() -> None:
    config = RunConfig(model={"hidden": 20, "layers": 3}, training={"epochs": 3})
    merged = config.merged({"model": {"hidden": 30}, "training": {"lr": 0.1}, "data": {}})
    assert merged.model == {"hidden": 30, "layers": 3}
    assert (merged.training.lr, merged.training.epochs) == (0.1, 3)
    assert config.merged({"training": {"minutes": 2}}).training.epochs is None
    with pytest.raises(
        UnknownNameError, match=r"unknown option 'trainnig'. Did you mean 'training'"
    ):
        config.merged({"trainnig": {"lr": 1}})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("training:\n  lrr: 1\n", "Did you mean 'lr'"),
        ("training: 3\n", "option training cannot be 3"),
        ("- a\n", "must hold sections"),
        ("1: a\n", "must hold sections"),
        ("a: [\n", "is not YAML"),
        ("!!python/object/apply:os.system ['false']\n", "is not YAML"),
        ("\xff\xfe", "not UTF-8"),
        ("recurra: 2\n", "option recurra cannot be 2"),
    ],
)
def test_bad_files(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match=r"c\.yaml") as caught:
        RunConfig.load(path)
    assert message in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        RunConfig.load(tmp_path / "none.yaml")


def test_options_need_no_torch() -> None:
    code = "import sys, recurra.training as t; t.RunConfig(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", [0.5, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 0.75, 0.5, 0.25]),
        ("cosine", [0.5, 1, 1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]),
    ],
)
def test_schedules(schedule: Any, rates: list[float]) -> None:
    options = TrainingOptions(epochs=1, lr=2.0, schedule=schedule, warmup_steps=2)
    made = Schedule(options, steps=6)
    assert [made.rate(step) / 2 for step in range(6)] == pytest.approx(rates)


def test_plateau_halves_after_two_evaluations_without_improvement() -> None:
    options = TrainingOptions(lr=1.0, schedule="plateau")
    made = Schedule(options, None)
    rates = []
    for value in (3, 2, 2, 2, 2, 1, 2, 2):
        made.evaluated(value)
        made = Schedule(options, None, **made.state())  # as a resume does
        rates.append(made.rate(0))
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25]

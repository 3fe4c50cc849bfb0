"""The options of `recurra train`: their help tells the truth, and who wins over whom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer

from recurra.cli.main import app
from recurra.cli.train import configuration
from recurra.cli.train_options import FIELDS
from recurra.errors import RunError, UsageError
from recurra.tasks.text import TextOptions
from recurra.training.config import DataOptions, RunConfig
from recurra.training.options import DEFAULT_EPOCHS, TrainingOptions
from recurra.training.run_folder import RunFolder

SECTIONS: dict[str, Any] = {"data": DataOptions, "model": TextOptions, "training": TrainingOptions}


def parameters() -> dict[str, Any]:
    root: Any = typer.main.get_command(app)
    return {param.name: param for param in root.commands["train"].commands["text"].params}


@pytest.mark.parametrize("option", sorted(FIELDS.keys() - {"source"}))
def test_the_help_states_the_default_of_the_configuration(option: str) -> None:
    section, name = FIELDS[option]
    default = SECTIONS[section].model_fields[name].default
    if option == "epochs":
        default = DEFAULT_EPOCHS
    if isinstance(default, float):
        default = f"{default:g}"
    shown = parameters()[option].show_default
    assert shown == (False if default is None else str(default))


def test_every_option_is_a_field_or_about_the_run_itself() -> None:
    names = set(parameters()) - {"out", "config", "resume", "overwrite"}
    assert names == set(FIELDS)
    for param in parameters().values():
        assert param.default in (None, False)


def test_what_is_not_given_takes_the_default(tmp_path: Path) -> None:
    settings = configuration(dict.fromkeys(FIELDS), tmp_path, None, False)
    assert settings == RunConfig()


def test_an_option_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("training: {lr: 1e-3, seq_len: 7, minutes: 2}\nmodel: {hidden: 8}\n")
    given = {"seq_len": 9, "cell": "gru", "clip_norm": "none", "source": "a.txt"}
    settings = configuration(given, tmp_path / "run", file, False)
    assert (settings.training.lr, settings.training.seq_len) == (0.001, 9)
    assert settings.training.clip_norm is None
    assert settings.training.batch_size == TrainingOptions().batch_size
    assert settings.model == {"hidden": 8, "cell": "gru"}
    assert settings.data.source == "a.txt"


def test_a_share_and_steps_are_given_by_name(tmp_path: Path) -> None:
    given = {"validation_share": 0.25, "save_every": 7, "warmup_steps": 3}
    settings = configuration(given, tmp_path / "run", None, False)
    assert settings.data.validation_share == 0.25
    assert (settings.training.save_every, settings.training.warmup_steps) == (7, 3)


def test_epochs_take_the_place_of_the_minutes_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("training: {minutes: 2}\n")
    training = configuration({"epochs": 3}, tmp_path, file, False).training
    assert (training.epochs, training.minutes) == (3, None)
    training = configuration({"epochs": 3, "minutes": 1.0}, tmp_path, file, False).training
    assert (training.epochs, training.minutes) == (3, 1.0)


def test_a_resume_starts_from_the_configuration_of_the_run(tmp_path: Path) -> None:
    saved = RunConfig().merged({"training": {"lr": 0.5, "epochs": 3}, "data": {"source": "a.txt"}})
    RunFolder(tmp_path).config.write_text(saved.text())
    settings = configuration({"epochs": 4}, tmp_path, None, True)
    assert settings == saved.merged({"training": {"epochs": 4}})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lr": -1.0}, "lr"),
        ({"schedule": "cosin"}, "schedule"),
        ({"schedule": "cosine", "minutes": 1.0}, "epochs"),
        ({"device": "gpu"}, "auto, cpu, cuda"),
        ({"precision": "fp8"}, "precision"),
        ({"clip_norm": "some"}, "clip_norm"),
        ({"overwrite": True}, ""),
    ],
)
def test_impossible_options_are_refused(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    if "overwrite" in given:
        with pytest.raises(UsageError, match="Give one of them"):
            configuration(given, tmp_path, None, True)
    else:
        with pytest.raises(UsageError, match=message):
            configuration(given, tmp_path, None, False)


def test_a_resume_takes_no_file_and_needs_a_run(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Leave --config out"):
        configuration({}, tmp_path, tmp_path / "config.yaml", True)
    with pytest.raises(RunError, match="there is no run"):
        configuration({}, tmp_path, None, True)

"""The configuration of a run: the task, its data, its model and its training, in `config.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from recurra.errors import UsageError
from recurra.tasks.options import Options
from recurra.training.options import TrainingOptions

FORMAT = 1
_ENDS = frozenset({"epochs", "minutes"})


class DataOptions(Options):
    """Where the data come from and which share is held out."""

    source: str | None = Field(None, description="a file, an http(s) address, or - for stdin")
    encoding: str | None = Field(None, description="null: what the text says, else utf-8")
    validation_share: float = Field(0.1, gt=0, lt=1, description="share held out, at the end")


class RunConfig(Options):
    """All that decides what a run computes. `model` holds the options of the task's model."""

    recurra: int = Field(FORMAT, ge=1, le=FORMAT, description="version of this format")
    task: str = "text"
    data: DataOptions = Field(default_factory=DataOptions)
    model: dict[str, Any] = Field(default_factory=dict)
    training: TrainingOptions = Field(default_factory=TrainingOptions)

    @classmethod
    def load(cls, path: str | Path) -> RunConfig:
        """Read a configuration file; what it leaves out takes its default.

        Raises:
            UsageError: the file cannot be read, is no YAML, or holds an unknown or bad option.
        """
        values = _read_yaml(Path(path))
        try:
            return cls(**values)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from None

    def merged(self, changes: Mapping[str, Any]) -> RunConfig:
        """This configuration with `changes`, sections by name: `{"training": {"lr": 0.001}}`.

        Who changes one of `epochs` and `minutes` means that one: the other is then dropped.
        """
        values = self.model_dump()
        for section, change in changes.items():
            if isinstance(change, Mapping) and isinstance(values.get(section), dict):
                dropped = _ENDS if section == "training" and _ENDS & change.keys() else frozenset()
                kept = {key: item for key, item in values[section].items() if key not in dropped}
                values[section] = {**kept, **change}
            else:
                values[section] = change
        return RunConfig(**values)

    def text(self) -> str:
        """The whole configuration as YAML, every default resolved."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read the configuration {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"the configuration {path} is not UTF-8 text. Give a YAML file.") from None
    except yaml.YAMLError as error:
        raise UsageError(f"the configuration {path} is not YAML: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UsageError(f"the configuration {path} must hold sections such as 'training:'.")
    return values

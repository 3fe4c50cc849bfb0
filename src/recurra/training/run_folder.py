"""The run folder: which file is where, and how a run begins without harming another."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recurra.errors import RunError, UsageError
from recurra.training.config import RunConfig
from recurra.training.files import write_whole

_DRAFT = ".new"
# All that a run writes. Overwriting removes these and nothing else.
_OWN = ("model.safetensors", "metrics.jsonl", "vocabulary.json", "last.safetensors", "tokens.bin")


@dataclass(frozen=True)
class RunFolder:
    """A run on disk, at `path`.

    A new run is put together in `draft` and moved to its place by `begin`, once its data have
    proved good: until then an older run in the same folder is as it was.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The resolved configuration; a folder that has it is a run."""
        return self.path / "config.yaml"

    @property
    def weights(self) -> Path:
        """The weights of the best evaluation."""
        return self.path / "model.safetensors"

    @property
    def metrics(self) -> Path:
        """A JSON object for every evaluation and inspection."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoint(self) -> Path:
        """All that an exact resume needs."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def first_checkpoint(self) -> Path:
        """The checkpoint of step 0, in the draft."""
        return self.draft / "checkpoints" / "last.safetensors"

    @property
    def data(self) -> Path:
        """The folder of the prepared data."""
        return self.path / "data"

    @property
    def draft(self) -> Path:
        """Where the files of a run are gathered before it begins."""
        return self.path / _DRAFT

    def load_config(self) -> RunConfig:
        """The configuration of this run.

        Raises:
            RunError: there is no run here, or its configuration is damaged.
        """
        if not self.config.is_file():
            raise RunError(
                f"there is no run in {self.path}: it has no config.yaml. Train one first."
            )
        try:
            config = RunConfig.load(self.config)
        except UsageError as error:
            raise RunError(f"the run is damaged: {error}") from None
        if "recurra" not in config.model_fields_set:
            raise RunError(f"{self.config} was not written by recurra. Give the folder of a run.")
        return config

    def save_config(self, config: RunConfig) -> None:
        """Write the configuration.

        Raises:
            RunError: the disk is full or cannot be written; the old one is as it was.
        """
        write_whole(self.config, config.text().encode())

    def check_free(self, overwrite: bool = False) -> None:
        """Refuse a folder in which a new run would harm something.

        Raises:
            RunError: a run is here and `overwrite` is false, or something else is here.
        """
        if not os.path.lexists(self.path):
            return
        if not self.path.is_dir():
            raise RunError(f"{self.path} is a file. Give a folder for the run.")
        if all(entry.name == _DRAFT for entry in self.path.iterdir()):
            return
        try:
            self.load_config()
        except RunError:
            raise RunError(f"{self.path} holds files, but no run. Give a new folder.") from None
        if not overwrite:
            raise RunError(
                f"{self.path} already holds a run. Go on with it by --resume, replace it by "
                "--overwrite, or give another folder."
            )

    def open_draft(self) -> Path:
        """Make an empty draft and give its path.

        Raises:
            RunError: the folder cannot be made.
        """
        try:
            shutil.rmtree(self.draft, ignore_errors=True)
            self.draft.mkdir(parents=True)
        except OSError as error:
            raise RunError(f"cannot make the folder {self.path}: {error.strerror}.") from error
        return self.draft

    def drop_draft(self) -> None:
        """Remove the draft, and the folder itself if nothing else is in it."""
        shutil.rmtree(self.draft, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    @contextlib.contextmanager
    def beginning(self) -> Iterator[None]:
        """Inside, the draft is written.

        Raises:
            RunError: the disk is full or cannot be written; the run has not begun.
        """
        try:
            yield
        except (OSError, RunError) as error:
            reason = getattr(error.__cause__ or error, "strerror", None) or str(error)
            raise RunError(
                f"cannot begin a run in {self.path}: {reason}. "
                "Make room on the disk or correct its permissions, then try again."
            ) from error

    def begin(self, config: RunConfig) -> None:
        """Make the draft a run, in place of the one that was here.

        Raises:
            RunError: the disk is full or cannot be written.
        """
        with self.beginning():
            write_whole(self.draft / "config.yaml", config.text().encode())
            self._remove_old()
            # The configuration goes first: from then on the folder is known to be a run.
            os.replace(self.draft / "config.yaml", self.config)
            for source in sorted(self.draft.rglob("*")):
                if source.is_file():
                    target = self.path / source.relative_to(self.draft)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(source, target)
            self.checkpoint.parent.mkdir(exist_ok=True)
        self.drop_draft()

    def _remove_old(self) -> None:
        for folder in (self.path, self.checkpoint.parent, self.data):
            for name in _OWN:
                (folder / name).unlink(missing_ok=True)
                (folder / f".{name}.tmp").unlink(missing_ok=True)

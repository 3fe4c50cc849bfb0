"""`load`: a trained run, ready to generate and to evaluate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from recurra.data import TextCorpus, Vocabulary, warn_of_unknown
from recurra.errors import CheckpointError, RunError, UsageError
from recurra.inspection import Recording, record
from recurra.tasks.decoding import generate
from recurra.tasks.scoring import score
from recurra.tasks.text import VOCABULARY, TextGeneration, TextModel, TextOptions
from recurra.training import checkpoint
from recurra.training.config import RunConfig
from recurra.training.files import read_tensors
from recurra.training.run_folder import RunFolder


@dataclass(frozen=True)
class LoadedText:
    """A trained model of text.

    Attributes:
        folder: the run.
        config: its configuration.
        vocabulary: the characters it knows.
        model: in evaluation mode, with the weights of the best evaluation.
    """

    folder: RunFolder
    config: RunConfig
    vocabulary: Vocabulary
    model: TextModel

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def generate(
        self,
        prompt: str = "",
        max_new: int = 500,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> str:
        """Text that goes on from `prompt`, the prompt not included; see `recurra.tasks.generate`.

        Raises:
            UsageError: a value that is not possible.
        """
        chance = (temperature, top_k, top_p, seed)
        tokens = generate(self.model, self.vocabulary, prompt, max_new, *chance)
        return "".join(token.characters[0] for token in tokens)

    def inputs(self, text: str) -> torch.Tensor:
        """(T, 1): what the model reads of a text, as the measures of `recurra.inspection` take it.

        Raises:
            UsageError: the text is empty.
        """
        if not isinstance(text, str) or not text:
            raise UsageError("there is no text to read; give at least one character.")
        return torch.from_numpy(self.vocabulary.encode(text))[:, None].to(self.device)

    def record(self, text: str, names: str | Iterable[str] | None = None) -> Recording:
        """Read a text and keep the values of the recurrent layers, as `recurra.record` does.

        Args:
            text: is read in one call, from an empty state. A value takes 4 bytes for each character
                and unit. A warning names characters never seen.
            names: what to keep; see `recurra.record`.

        Returns:
            the recording, with the characters as `items`, and `logits` (T, 1, V) over the
            `vocabulary` for the character that comes after each. It carries no gradients.

        Raises:
            UsageError: the text is empty.
            UnknownNameError: a name that means no value of the model.
        """
        tokens = self.inputs(text)
        warn_of_unknown(self.vocabulary.unknown(text))
        with torch.no_grad():
            recording = record(self.model, tokens, names)
        items, symbols = (tuple(text),), self.vocabulary.symbols
        return replace(recording, items=items, logits=recording.output[0], vocabulary=symbols)

    def evaluate(
        self,
        text: str | None = None,
        *,
        file: str | Path | None = None,
        encoding: str | None = None,
    ) -> dict[str, float]:
        """How well the model predicts `text`, or the text in `file`: see `recurra.tasks.score`.

        Raises:
            UsageError: neither or both were given.
            DataError: the text cannot be read or is too short.
        """
        if (text is None) == (file is None):
            raise UsageError("give either a text or a file to evaluate.")
        if text is not None:
            corpus = TextCorpus.from_text(text, 0.0, self.vocabulary)
        else:
            corpus = TextCorpus.read(str(file), None, encoding, 0.0, self.vocabulary)
        return score(self.model, corpus.train, self.device)


def load(run: str | Path, device: str | torch.device = "cpu") -> LoadedText:
    """Load the run in a folder.

    A run stopped before its first evaluation has no best weights yet; its checkpoint gives some.

    Raises:
        RunError: there is no run, or a file of it is missing.
        CheckpointError: a file of it is damaged.
    """
    folder = RunFolder(Path(run))
    config = folder.load_config()
    if config.task != TextGeneration.name:
        raise RunError(f"{run} is a run of the task {config.task!r}; only 'text' can be loaded.")
    vocabulary = read_vocabulary(folder.path)
    if folder.weights.exists():
        weights, _ = read_tensors(folder.weights)
    else:
        weights = checkpoint.load(folder.checkpoint)["model"]
    try:
        model = TextModel(len(vocabulary), TextOptions(**config.model))
        model.load_state_dict(weights)
    except (RuntimeError, ValueError, UsageError) as error:
        raise CheckpointError(
            f"the weights in {run} do not fit its config.yaml: {error} "
            "Put back the configuration that the run was trained with."
        ) from None
    return LoadedText(folder, config, vocabulary, model.to(device).eval())


def read_vocabulary(folder: Path) -> Vocabulary:
    """The vocabulary in a run folder.

    Raises:
        RunError: it is missing.
        CheckpointError: it is damaged.
    """
    path = folder / VOCABULARY
    try:
        return Vocabulary.from_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(
            f"cannot read {path}: {error.strerror}. Put back a copy of it, or train anew with "
            "--overwrite."
        ) from None
    except UnicodeDecodeError:
        raise CheckpointError(
            f"{path} is damaged. Put back a copy of it, or train anew with --overwrite."
        ) from None

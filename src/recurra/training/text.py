"""`train_text`: what `recurra train text` does, from a configuration to a run."""

from __future__ import annotations

from pathlib import Path

from recurra.data import TextCorpus
from recurra.errors import UsageError
from recurra.tasks.text import VOCABULARY, TextGeneration, TextOptions
from recurra.training.config import RunConfig
from recurra.training.files import write_whole
from recurra.training.fitting import folder_for, run
from recurra.training.loading import read_vocabulary
from recurra.training.metrics import History
from recurra.training.processes import Accelerator, group
from recurra.training.progress import Reporter
from recurra.training.run_folder import RunFolder


def train_text(
    config: RunConfig,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> History:
    """Train a model of the text `config.data.source` into the run folder `out`.

    A run keeps its text as tokens, so a resume reads the source only if another one is named, and
    refuses it if the text differs.

    Raises:
        UsageError: no text is named, or an option of the model is not possible.
        DataError: the text cannot be read or is too short; nothing was written or replaced.
        RunError, CheckpointError, DivergedError, Interrupted: as `fit`.
    """
    if config.task != TextGeneration.name:
        raise UsageError(f"the configuration is for the task {config.task!r}, not 'text'.")
    if config.data.source is None:
        raise UsageError("no text was given. Give a file, an http(s) address, or - for stdin.")
    options = TextOptions(**config.model)
    config = config.model_copy(update={"model": options.model_dump()})
    training = config.training
    with group(training) as accelerator, folder_for(out, accelerator, resume, overwrite) as folder:
        corpus = (
            _kept_text(config, folder) if resume else _prepared_text(config, folder, accelerator)
        )
        task = TextGeneration(corpus, options, training.batch_size, training.seq_len)
        return run(task, folder, config, accelerator, resume, reporter or Reporter())


def _prepared_text(config: RunConfig, folder: RunFolder, accelerator: Accelerator) -> TextCorpus:
    """The text of a new run: the first process reads it, the others open what it wrote."""
    data, tokens = config.data, folder.draft / "data"
    if accelerator.is_main_process:
        corpus = TextCorpus.read(str(data.source), tokens, data.encoding, data.validation_share)
        with folder.beginning():
            write_whole(folder.draft / VOCABULARY, corpus.vocabulary.to_json().encode())
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        vocabulary = read_vocabulary(folder.draft)
        corpus = TextCorpus.open(tokens, vocabulary, data.validation_share)
    # The first process moves the files once training begins.
    accelerator.wait_for_everyone()
    return corpus


def _kept_text(config: RunConfig, folder: RunFolder) -> TextCorpus:
    """The text of a run that goes on."""
    data, vocabulary = config.data, read_vocabulary(folder.path)
    if data.source == folder.load_config().data.source:
        return TextCorpus.open(folder.data, vocabulary, data.validation_share)
    source = str(data.source)
    return TextCorpus.read(source, None, data.encoding, data.validation_share, vocabulary)

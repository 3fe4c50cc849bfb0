"""`recurra train`: fit a model to data and keep it in a run folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from recurra.cli import train_options as options
from recurra.cli.console import importing, undeterred
from recurra.cli.help import Command, Group
from recurra.errors import UsageError

if TYPE_CHECKING:
    from recurra.training.config import RunConfig

_EXAMPLES = """
recurra train text book.txt -o runs/book --minutes 5
recurra train text book.txt -o runs/book --resume --minutes 10
recurra train text https://example.org/book.txt -o runs/gru --cell gru
cat *.txt | recurra train text - -o runs/all -c runs/book/config.yaml
torchrun --nproc-per-node 2 -m recurra train text book.txt -o runs/book
"""

_GROUP_EXAMPLES = """
recurra train text book.txt -o runs/book
"""

app = typer.Typer(cls=Group, rich_markup_mode=None)


@app.callback(invoke_without_command=True, epilog=_GROUP_EXAMPLES)
def _train(ctx: typer.Context) -> None:
    """Train a model."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help(), err=True)
        raise typer.Exit(2)


@app.command("text", cls=Command, epilog=_EXAMPLES)
def _text(
    ctx: typer.Context,
    out: options.Out,
    source: options.Source = None,
    config: options.Config = None,
    resume: options.Resume = False,
    overwrite: options.Overwrite = False,
    cell: options.Cell = None,
    hidden: options.Hidden = None,
    layers: options.Layers = None,
    dropout: options.Dropout = None,
    encoding: options.Encoding = None,
    validation_share: options.ValidationShare = None,
    seq_len: options.SeqLen = None,
    batch_size: options.BatchSize = None,
    epochs: options.Epochs = None,
    minutes: options.Minutes = None,
    lr: options.LearningRate = None,
    clip_norm: options.ClipNorm = None,
    schedule: options.Schedule = None,
    warmup_steps: options.WarmupSteps = None,
    patience: options.Patience = None,
    eval_every: options.EvalEvery = None,
    save_every: options.SaveEvery = None,
    inspect_every: options.InspectEvery = None,
    seed: options.Seed = None,
    device: options.Device = None,
    precision: options.Precision = None,
    threads: options.Threads = None,
) -> None:
    """Train a model that predicts the next character of a text.

    The end of the text is held out: bits per character are measured on it while training,
    and the weights that were best are kept. Ctrl-C saves and stops; --resume goes on exactly there.
    """
    settings = configuration(ctx.params, out, config, resume)
    with importing():
        from recurra.training.text import train_text

    train_text(settings, out, resume=resume, overwrite=overwrite, reporter=_reporter())


def configuration(
    given: Mapping[str, Any], out: Path, config: Path | None, resume: bool
) -> RunConfig:
    """The configuration of a run: what the user gave, over the file or the run, over the defaults.

    Args:
        given: the options by name; None for one that was not given.
        out: the run folder, whose configuration is taken with `resume`.
        config: a configuration file.
        resume: go on with the run in `out`.

    Raises:
        UsageError: options that are unknown, impossible, or cannot be combined.
        RunError: there is no run to resume.
    """
    with importing():
        from recurra.training.config import RunConfig
        from recurra.training.run_folder import RunFolder

    if resume and config is not None:
        raise UsageError(
            "--resume takes the configuration of the run itself. "
            "Leave --config out and give the options that you want to change."
        )
    if resume and given.get("overwrite"):
        raise UsageError("--resume goes on with a run, --overwrite removes it. Give one of them.")
    if resume:
        base = RunFolder(out).load_config()
    else:
        base = RunConfig() if config is None else RunConfig.load(config)
    changes: dict[str, dict[str, Any]] = {}
    for option, (section, name) in options.FIELDS.items():
        if given.get(option) is not None:
            changes.setdefault(section, {})[name] = given[option]
    return base.merged(changes)


def _reporter() -> Any:
    """Progress on stderr, of the first process only; training goes on when nobody reads it."""
    from recurra.training.progress import Reporter, reporter_for

    if os.environ.get("RANK", "0") != "0":
        return Reporter()
    return reporter_for(undeterred(sys.stderr))

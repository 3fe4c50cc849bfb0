"""The options of `recurra train`: each says its help here, and its default in the configuration.

An option that is not given is None, so that it does not hide the configuration file or the model's
own default. The defaults shown in the help are compared with the configuration by a test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def _option(section: str, flags: str, metavar: str | None, default: str | None, help: str) -> Any:
    """An option whose help states `default`, which is kept elsewhere."""
    shown: Any = default or False
    return typer.Option(
        *flags.split(), metavar=metavar, help=help, show_default=shown, rich_help_panel=section
    )


_RUN, _MODEL, _DATA, _TRAINING, _MACHINE = "Run", "Model", "Text", "Training", "Machine"

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE",
        help="The text: a file, an http(s) address, or - for stdin. Left out with --resume.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(
        "-o", "--out", metavar="RUN", help="The run folder to write.", rich_help_panel=_RUN
    ),
]
Config = Annotated[
    Path | None,
    _option(
        _RUN,
        "-c --config",
        "YAML",
        None,
        "Take options from this file, such as a run's config.yaml; options given here win.",
    ),
]
Resume = Annotated[
    bool, _option(_RUN, "--resume", None, None, "Go on with RUN where its last checkpoint stopped.")
]
Overwrite = Annotated[
    bool, _option(_RUN, "--overwrite", None, None, "Replace RUN, if it is a run folder.")
]
Cell = Annotated[
    str | None,
    _option(_MODEL, "--cell", "CELL", "lstm", "Kind of cell; `recurra cells` lists them."),
]
Hidden = Annotated[int | None, _option(_MODEL, "--hidden", "H", "300", "Units of a layer.")]
Layers = Annotated[int | None, _option(_MODEL, "--layers", "N", "2", "Layers.")]
Dropout = Annotated[
    float | None, _option(_MODEL, "--dropout", "P", "0.2", "Share of values dropped after a layer.")
]
Encoding = Annotated[
    str | None,
    _option(
        _DATA, "--encoding", "NAME", None, "Encoding of the text: utf-8 unless it says another."
    ),
]
ValidationShare = Annotated[
    float | None,
    _option(
        _DATA, "--validation-share", "P", "0.1", "Share of the text, at its end, that is held out."
    ),
]
SeqLen = Annotated[
    int | None,
    _option(_TRAINING, "--seq-len", "T", "50", "Characters through which gradients go back."),
]
BatchSize = Annotated[
    int | None,
    _option(_TRAINING, "--batch-size", "B", "32", "Parallel streams into which the text is cut."),
]
Epochs = Annotated[
    int | None,
    _option(_TRAINING, "--epochs", "N", "10", "Stop after N passes, unless --minutes is given."),
]
Minutes = Annotated[
    float | None, _option(_TRAINING, "--minutes", "M", None, "Stop after M minutes of training.")
]
LearningRate = Annotated[
    float | None, _option(_TRAINING, "--lr", "RATE", "0.002", "Learning rate.")
]
ClipNorm = Annotated[
    str | None,
    _option(
        _TRAINING, "--clip-norm", "NORM", "5", "Shorten longer gradients to NORM; none: never."
    ),
]
Schedule = Annotated[
    str | None,
    _option(
        _TRAINING,
        "--schedule",
        "NAME",
        "constant",
        "Learning rate over time: constant, linear, cosine, or plateau.",
    ),
]
WarmupSteps = Annotated[
    int | None,
    _option(
        _TRAINING,
        "--warmup-steps",
        "STEPS",
        "0",
        "Steps in which the learning rate rises to its value.",
    ),
]
Patience = Annotated[
    int | None,
    _option(_TRAINING, "--patience", "N", None, "Stop after N evaluations without improvement."),
]
EvalEvery = Annotated[
    int | None,
    _option(
        _TRAINING,
        "--eval-every",
        "STEPS",
        None,
        "Steps between evaluations; unless given, a pass or 500 steps, whichever is less.",
    ),
]
SaveEvery = Annotated[
    int | None,
    _option(
        _TRAINING,
        "--save-every",
        "STEPS",
        None,
        "Steps between checkpoints, beside those after each evaluation.",
    ),
]
InspectEvery = Annotated[
    int | None,
    _option(
        _TRAINING,
        "--inspect-every",
        "STEPS",
        None,
        "Steps between looks at gates, memories and gradients, written to metrics.jsonl.",
    ),
]
Seed = Annotated[int | None, _option(_TRAINING, "--seed", "S", "0", "Seed of all that is random.")]
Device = Annotated[
    str | None, _option(_MACHINE, "--device", "NAME", "auto", "auto, cpu, cuda, cuda:N, or mps.")
]
Precision = Annotated[
    str | None,
    _option(_MACHINE, "--precision", "NAME", "no", "Mixed precision: no, bf16, or fp16."),
]
Threads = Annotated[
    int | None, _option(_MACHINE, "--threads", "N", None, "Threads on the CPU; unless given, all.")
]

# Which field of the configuration an option sets.
FIELDS = {
    "source": ("data", "source"),
    "encoding": ("data", "encoding"),
    "validation_share": ("data", "validation_share"),
    "cell": ("model", "cell"),
    "hidden": ("model", "hidden"),
    "layers": ("model", "layers"),
    "dropout": ("model", "dropout"),
    "seq_len": ("training", "seq_len"),
    "batch_size": ("training", "batch_size"),
    "epochs": ("training", "epochs"),
    "minutes": ("training", "minutes"),
    "lr": ("training", "lr"),
    "clip_norm": ("training", "clip_norm"),
    "schedule": ("training", "schedule"),
    "warmup_steps": ("training", "warmup_steps"),
    "patience": ("training", "patience"),
    "eval_every": ("training", "eval_every"),
    "save_every": ("training", "save_every"),
    "inspect_every": ("training", "inspect_every"),
    "seed": ("training", "seed"),
    "device": ("training", "device"),
    "precision": ("training", "precision"),
    "threads": ("training", "threads"),
}

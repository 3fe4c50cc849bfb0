"""`fit`: train a task into a run folder, from Python."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recurra.tasks.base import Task
from recurra.training import checkpoint, inspecting, metrics
from recurra.training.config import RunConfig
from recurra.training.loop import Identity, save, train
from recurra.training.metrics import History
from recurra.training.options import TrainingOptions
from recurra.training.processes import Accelerator, group
from recurra.training.progress import Reporter
from recurra.training.run_folder import RunFolder
from recurra.training.session import Session
from recurra.training.signals import Signals


def fit(
    task: Task,
    out: str | Path,
    options: TrainingOptions | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> History:
    """Train `task` into the run folder `out`; what `recurra train` does.

    The sizes of the batch are those of the task. The global random generators are seeded. Under
    torchrun every process must call this; the first one writes. Each draws dropout masks of its
    own, so several processes compute what one does only without dropout, and then up to rounding.

    Args:
        task: the problem.
        out: a new folder; or, with `resume`, one whose run is continued exactly where it was saved;
            or, with `overwrite`, one whose run is replaced.
        options: how to train.
        resume: go on with the run in `out`.
        overwrite: replace the run in `out`.
        reporter: hears of the progress; silent unless given.

    Raises:
        RunError: `out` holds something else, or cannot be written.
        CheckpointError: the checkpoint to resume from is damaged or of another configuration.
        DivergedError: training diverged; the last good checkpoint is kept.
        Interrupted: SIGINT or SIGTERM came; all was saved.
    """
    options = options or TrainingOptions()
    sizes = {"batch_size": task.batch_size, "seq_len": task.seq_len}
    options = options.model_copy(update=sizes)
    config = RunConfig(task=task.name, model=task.model_options(), training=options)
    with group(options) as accelerator, folder_for(out, accelerator, resume, overwrite) as folder:
        return run(task, folder, config, accelerator, resume, reporter or Reporter())


@contextmanager
def folder_for(
    out: str | Path, accelerator: Accelerator, resume: bool, overwrite: bool
) -> Iterator[RunFolder]:
    """A folder to train into: with an empty draft, or, with `resume`, with a run.

    The draft is gone afterwards, whatever happened.

    Raises:
        RunError: `out` holds something else, or cannot be written.
    """
    folder = RunFolder(Path(out).absolute())
    first = accelerator.is_main_process
    if resume:
        folder.load_config()
    elif first:
        folder.check_free(overwrite)
        folder.open_draft()
    accelerator.wait_for_everyone()
    try:
        yield folder
    finally:
        if first and not resume:
            folder.drop_draft()


def run(
    task: Task,
    folder: RunFolder,
    config: RunConfig,
    accelerator: Accelerator,
    resume: bool,
    reporter: Reporter,
) -> History:
    """Train into a folder of `folder_for`, whose draft may already hold the data."""
    if not accelerator.is_main_process:
        reporter = Reporter()
    session = Session(task, config.training, accelerator)
    inspecting.check(session)
    identity = _identity(task, config)
    with Signals().watched() as signals:
        if not (resume and _restored(session, folder, identity)):
            _begin(session, folder, config, identity, resume)
        elif accelerator.is_main_process:
            metrics.trim(folder.metrics, session.progress.step)
            folder.save_config(config)
        reporter.started(session)
        try:
            ended = train(session, folder, identity, reporter, signals)
            history = History(folder.path, tuple(metrics.read(folder.metrics)), ended)
            reporter.finished(history)
        finally:
            reporter.closed()
    return history


def _begin(
    session: Session, folder: RunFolder, config: RunConfig, identity: Identity, resume: bool
) -> None:
    """Make the run, with a checkpoint of step 0: a full disk shows before anything is replaced."""
    if resume:
        folder.checkpoint.parent.mkdir(exist_ok=True)
        save(session, folder, identity)
        return
    tree = session.capture()
    if session.accelerator.is_main_process:
        with folder.beginning():
            session.task.save(folder.draft)
            folder.first_checkpoint.parent.mkdir()
            checkpoint.save(folder.first_checkpoint, tree, identity)
        folder.begin(config)
    session.accelerator.wait_for_everyone()


def _restored(session: Session, folder: RunFolder, identity: Identity) -> bool:
    """Go on from the checkpoint; False if the run was killed before its first one."""
    if not folder.checkpoint.exists() and not folder.metrics.exists():
        return False
    session.restore(checkpoint.load(folder.checkpoint, identity))
    return True


def _identity(task: Task, config: RunConfig) -> Identity:
    """What must be the same for a checkpoint to go on; all else may change on a resume."""
    model = {f"model.{name}": value for name, value in config.model.items()}
    return {
        "task": config.task,
        **model,
        "training.batch_size": config.training.batch_size,
        "training.seq_len": config.training.seq_len,
        "data": task.fingerprint,
    }

"""The training loop: stateful truncated back-propagation for any task.

    chunk -> loss -> backward -> clip -> step -> detach the state -> next chunk

What follows is a function of the session alone. A session that went through a checkpoint therefore
does exactly what it would have done without it.
"""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from recurra.errors import DivergedError, Interrupted
from recurra.training import checkpoint, inspecting, random_state
from recurra.training.files import write_tensors
from recurra.training.metrics import Record, append
from recurra.training.progress import Reporter
from recurra.training.run_folder import RunFolder
from recurra.training.session import Session
from recurra.training.signals import BrokenOff, Signals
from recurra.training.states import detached

Identity = dict[str, object]


def train(
    session: Session, folder: RunFolder, identity: Identity, reporter: Reporter, signals: Signals
) -> str:
    """Train until a limit of the options is reached, and give its name.

    Raises:
        DivergedError: a loss, gradient or evaluation is not finite; the checkpoint is older.
        Interrupted: a signal came; the checkpoint was written first.
        RunError: the run folder cannot be written.
    """
    while True:
        stop = 0
        if session.evaluation_is_due():
            stop = evaluate(session, folder, reporter, signals)
            save(session, folder, identity)
        if not stop:
            if ended := session.ended():
                return ended
            with session.clock:
                stop = step(session, signals)
            reporter.stepped(session.progress)
            if session.inspection_is_due():
                inspect(session, folder, reporter)
            if stop or session.save_is_due():
                save(session, folder, identity)
        if stop:
            raise _interrupted(session, stop)


def step(session: Session, signals: Signals) -> int:
    """Train on one chunk; the signal that any process received, or 0."""
    task, progress, accelerator = session.task, session.progress, session.accelerator
    index = progress.step % session.steps_per_epoch
    if index == 0:
        session.state = None
    for group in session.optimizer.param_groups:
        group["lr"] = session.schedule.rate(progress.step)
    loss, state = task.train_loss(
        session.model, index, session.state, session.rows, accelerator.device
    )
    accelerator.backward(loss)
    norm = accelerator.clip_grad_norm_(
        session.model.parameters(), session.options.clip_norm or math.inf
    )
    progress.loss, stop = session.agreed(loss.item(), signals.received)
    # Under fp16 a gradient may overflow: the scaler then leaves the step out.
    if not math.isfinite(progress.loss) or not (accelerator.scaler or norm.isfinite()):
        raise _diverged(progress.step + 1, f"the loss is {progress.loss}, its gradient {norm:g}")
    session.optimizer.step()
    session.optimizer.zero_grad()
    session.state = detached(state)
    progress.loss_sum += progress.loss
    progress.step += 1
    return stop


def evaluate(session: Session, folder: RunFolder, reporter: Reporter, signals: Signals) -> int:
    """Measure on the held-out part, on the first process; the signal that broke it off, or 0."""
    task, progress, first = session.task, session.progress, session.accelerator.is_main_process
    metrics: dict[str, float] = {}
    sample = None
    session.model.eval()
    if first:
        with suppress(BrokenOff), signals.breaking(), random_state.kept():
            model, device = session.plain_model, session.accelerator.device
            metrics = task.evaluate(model, device)
            sample = task.sample(model, device, session.options.seed)
    session.model.train()
    value, stop = session.first_of(metrics.get(task.monitor, math.nan), signals.received)
    if stop and math.isnan(value):
        return stop
    if not math.isfinite(value):
        raise _diverged(progress.step, f"{task.monitor} of the held-out part is {value}")
    training = _record(session, "train", _training_metrics(session))
    best = session.note(value)
    if first:
        record = _record(session, "validation", metrics)
        append(folder.metrics, training)
        append(folder.metrics, record)
        if best:
            write_tensors(folder.weights, session.plain_model.state_dict())
        reporter.evaluated(record, sample, best)
    return stop


def inspect(session: Session, folder: RunFolder, reporter: Reporter) -> None:
    """Write down, on the first process, how gates, memories and gradients are."""
    if session.accelerator.is_main_process:
        record = _record(session, "inspection", inspecting.measures(session))
        append(folder.metrics, record)
        reporter.inspected(record)


def save(session: Session, folder: RunFolder, identity: Identity) -> None:
    """Write the checkpoint; all processes take part, the first one writes."""
    tree = session.capture()
    if session.accelerator.is_main_process:
        checkpoint.save(folder.checkpoint, tree, identity)


def _record(session: Session, split: str, metrics: Mapping[str, Any]) -> Record:
    progress = session.progress
    return {
        "step": progress.step,
        "epoch": round(progress.step / session.steps_per_epoch, 4),
        "seconds": round(progress.seconds, 3),
        "split": split,
        **metrics,
    }


def _training_metrics(session: Session) -> dict[str, float]:
    progress = session.progress
    loss = progress.loss_sum / (progress.step - progress.evaluated)
    bits = {"bits_per_char": loss / math.log(2)} if session.task.monitor == "bits_per_char" else {}
    return {"loss": loss, **bits, "lr": session.schedule.rate(progress.step - 1)}


def _diverged(step: int, what: str) -> DivergedError:
    return DivergedError(
        f"training diverged at step {step}: {what}. The last good checkpoint is kept. "
        "Go on from it with --resume and a lower --lr or --clip-norm."
    )


def _interrupted(session: Session, number: int) -> Interrupted:
    name = signal.Signals(number).name
    return Interrupted(
        f"stopped by {name} after step {session.progress.step}; saved. Go on with --resume.", number
    )

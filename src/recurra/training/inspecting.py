"""Looking inside a model while it is trained: its measures on the same few examples each time."""

from __future__ import annotations

from typing import Any

from recurra.errors import UsageError
from recurra.inspection import check_health, gradients_through_time, record
from recurra.inspection.layers import layers
from recurra.inspection.summary import summary
from recurra.training import random_state
from recurra.training.session import Session


def check(session: Session) -> None:
    """Refuse to look inside what cannot be looked into.

    Raises:
        UsageError: the task has no examples for it, or the model no recurrent layer.
    """
    if session.options.inspect_every is not None:
        layers(session.plain_model)
        with random_state.kept():
            probe = session.task.probe(session.accelerator.device)
        if probe is None:
            raise UsageError(
                f"the task {session.task.name!r} has no examples to look at the model with: give "
                "it a method `probe`, or leave inspect_every out."
            )


def measures(session: Session) -> dict[str, Any]:
    """The measures of the model on the probe of its task; training goes on as if nothing happened.

    Evaluation mode, random numbers kept, no gradient of a weight; `summary` says what is in it.
    """
    model = session.plain_model
    with random_state.kept():
        inputs = session.task.probe(session.accelerator.device)
        health = check_health(record(model, inputs))
        return summary(health, gradients_through_time(model, inputs))

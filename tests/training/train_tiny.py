"""A program for the tests: `python train_tiny.py OUT '{"training options": ...}' [key=value ...]`.

resume=1, kill=STEP (SIGKILL after that step), torn=STEP (SIGKILL while that step's checkpoint is
half written), limit=BYTES (largest file the system lets it write), slow=SECONDS a step, dropout=P.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tiny_task import TinyTask

from recurra.errors import RecurraError
from recurra.training import Reporter, TrainingOptions, fit


class Killer(Reporter):
    """Ends this process without warning after a step, or in the middle of a checkpoint."""

    def __init__(self, settings: dict[str, float]) -> None:
        self._settings = settings

    def stepped(self, progress: Any) -> None:
        print(progress.step, flush=True)
        if progress.step == self._settings.get("torn"):
            os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
        if progress.step == self._settings.get("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self._settings.get("slow", 0.0))


def main(out: str, options: str, *pairs: str) -> int:
    settings = {key: float(value) for key, value in (pair.split("=") for pair in pairs)}
    if "limit" in settings:
        limit = int(settings["limit"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    task = TinyTask(dropout=settings.get("dropout", 0.3))
    chosen = TrainingOptions(**json.loads(options))
    try:
        fit(task, Path(out), chosen, resume="resume" in settings, reporter=Killer(settings))
    except RecurraError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

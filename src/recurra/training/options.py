"""The options of a training, checked when they are given."""

from __future__ import annotations

import re
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from recurra.errors import UsageError
from recurra.tasks.options import Options

DEFAULT_EPOCHS = 10
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class TrainingOptions(Options):
    """How a model is trained. With neither `epochs` nor `minutes`, training takes 10 epochs."""

    seq_len: int = Field(50, ge=1, description="steps through which gradients go back")
    batch_size: int = Field(32, ge=1, description="rows (parallel streams) of a batch")
    epochs: int | None = Field(None, ge=1, description="passes over the training part")
    minutes: float | None = Field(None, gt=0, description="minutes of training, without evaluation")
    lr: float = Field(0.002, gt=0, allow_inf_nan=False, description="learning rate of Adam")
    clip_norm: float | None = Field(5.0, gt=0, description="longest gradient; null: any length")
    schedule: Literal["constant", "linear", "cosine", "plateau"] = "constant"
    warmup_steps: int = Field(0, ge=0, description="steps in which the learning rate rises to lr")
    patience: int | None = Field(None, ge=1, description="evaluations without improvement to stop")
    eval_every: int | None = Field(None, ge=1, description="steps; null: an epoch, at most 500")
    save_every: int | None = Field(None, ge=1, description="steps; null: at evaluations only")
    inspect_every: int | None = Field(None, ge=1, description="steps; null: never look inside")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of all that is random")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps")
    precision: Literal["no", "bf16", "fp16"] = "no"
    threads: int | None = Field(
        None, ge=1, description="threads on the CPU; null: as torch chooses"
    )

    @field_validator("clip_norm", mode="before")
    @classmethod
    def _read_none(cls, value: Any) -> Any:
        return None if value == "none" else value

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        if not _DEVICE.fullmatch(value):
            raise UsageError(
                f"unknown device {value!r}. Give auto, cpu, cuda, cuda:N (a number) or mps."
            )
        return value

    @model_validator(mode="before")
    @classmethod
    def _set_an_end(cls, values: Any) -> Any:
        ends = ("epochs", "minutes")
        if isinstance(values, dict) and all(values.get(end) is None for end in ends):
            return {**values, "epochs": DEFAULT_EPOCHS}
        return values

    @model_validator(mode="after")
    def _check_schedule(self) -> Self:
        if self.schedule in ("linear", "cosine") and self.epochs is None:
            raise UsageError(
                f"schedule {self.schedule!r} must know where training ends, but only minutes "
                "were given. Give epochs, or take the schedule constant or plateau."
            )
        return self

"""The loop: what it computes, when it evaluates and ends, and what it refuses."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_task import TinyTask
from torch import Tensor

from recurra.errors import CheckpointError, DivergedError, RunError
from recurra.training import Reporter, TrainingOptions, fit
from recurra.training.checkpoint import load
from recurra.training.files import read_tensors


def test_it_is_the_plain_loop(tmp_path: Path) -> None:
    """Against the loop as anyone writes it in PyTorch, with dropout, to the bit."""
    fit(TinyTask(), tmp_path / "run", TrainingOptions(epochs=2, lr=0.01, clip_norm=0.5, seed=3))
    torch.manual_seed(3)
    task = TinyTask()
    model = task.build_model()
    torch.manual_seed(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    for _ in range(2):
        state = None
        for index in range(task.train_steps_per_epoch):
            loss, state = task.train_loss(model, index, state, slice(0, 4), torch.device("cpu"))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            state = tuple(part.detach() for part in state)
    trained = load(tmp_path / "run/checkpoints/last.safetensors")["model"]
    for name, value in model.state_dict().items():
        assert torch.equal(trained[name], value), name


def test_same_seed_same_run(tmp_path: Path) -> None:
    weights = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(TinyTask(), tmp_path / name, TrainingOptions(epochs=1, seed=seed))
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_it_learns_and_keeps_the_best_weights(tmp_path: Path) -> None:
    history = fit(TinyTask(dropout=0.0), tmp_path / "run", TrainingOptions(epochs=30, lr=0.02))
    measured = [record["bits_per_char"] for record in history.validation]
    assert measured[-1] < measured[0] - 1
    task = TinyTask()
    model = task.build_model()
    model.load_state_dict(read_tensors(tmp_path / "run/model.safetensors")[0])
    model.eval()
    best = task.evaluate(model, torch.device("cpu"))["bits_per_char"]
    assert best == min(measured)


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({"epochs": 2}, [11, 22]),
        ({"epochs": 1, "eval_every": 4}, [4, 8, 11]),
        ({"epochs": 2, "eval_every": 11}, [11, 22]),
        ({"epochs": 1, "eval_every": 100}, [11]),
    ],
)
def test_when_it_evaluates(tmp_path: Path, options: dict[str, Any], steps: list[int]) -> None:
    history = fit(TinyTask(), tmp_path / "run", TrainingOptions(**options))
    assert [record["step"] for record in history.validation] == steps
    for record in history.records:
        assert record["epoch"] == round(record["step"] / 11, 4)
        assert record["seconds"] > 0
        assert math.isfinite(record["bits_per_char"])


def test_long_epochs_are_evaluated_in_equal_parts(tmp_path: Path) -> None:
    task = TinyTask()
    task.train_steps_per_epoch = 501
    task.train_loss = lambda model, *_: (model.head.bias.square().sum(), None)  # type: ignore[method-assign]
    history = fit(task, tmp_path / "run", TrainingOptions(epochs=1))
    assert [record["step"] for record in history.validation] == [251, 501]


def test_early_stopping(tmp_path: Path) -> None:
    task = TinyTask()
    values = iter([3.0, 2.0, 2.5, 2.0, 1.0])
    task.evaluate = lambda model, device: {"bits_per_char": next(values)}  # type: ignore[method-assign]
    history = fit(task, tmp_path / "run", TrainingOptions(epochs=9, patience=2))
    assert history.ended == "patience"
    assert len(history.validation) == 4


def test_minutes_count_training_alone_and_go_on_after_a_resume(tmp_path: Path) -> None:
    history = fit(
        TinyTask(), tmp_path / "run", TrainingOptions(minutes=0.3 / 60, eval_every=100000)
    )
    first = history.validation[-1]
    assert history.ended == "minutes"
    assert 0.3 <= first["seconds"] < 1.0
    more = TrainingOptions(minutes=0.6 / 60, eval_every=100000)
    last = fit(TinyTask(), tmp_path / "run", more, resume=True).validation[-1]
    assert last["step"] > first["step"]
    assert 0.6 <= last["seconds"] < 1.3


def test_nan_in_the_loss_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    task = TinyTask()
    heard = _Steps()
    task.spoil = lambda index, loss: loss * math.nan if index == 8 else loss
    with pytest.raises(
        DivergedError, match=r"at step 9: the loss is nan.*--resume.*--lr"
    ) as caught:
        fit(task, tmp_path / "run", TrainingOptions(epochs=2, save_every=5), reporter=heard)
    assert caught.value.exit_code == 4
    assert heard.steps == list(range(1, 9))
    tree = load(tmp_path / "run/checkpoints/last.safetensors")
    assert tree["progress"]["step"] == 5
    assert all(value.isfinite().all() for value in tree["model"].values())
    tamer = TrainingOptions(epochs=2, lr=1e-4)
    assert fit(TinyTask(), tmp_path / "run", tamer, resume=True).ended == "epochs"


def test_infinite_gradient_diverges(tmp_path: Path) -> None:
    task = TinyTask()
    task.spoil = lambda index, loss: loss + _Poison.apply(loss)
    with pytest.raises(DivergedError, match=r"step 1: .* gradient (inf|nan)"):
        fit(task, tmp_path / "run", TrainingOptions(epochs=1))
    assert load(tmp_path / "run/checkpoints/last.safetensors")["progress"]["step"] == 0


def test_nan_in_the_evaluation_diverges(tmp_path: Path) -> None:
    task = TinyTask()
    task.evaluate = lambda model, device: {"bits_per_char": math.nan}  # type: ignore[method-assign]
    with pytest.raises(DivergedError, match="held-out part is nan"):
        fit(task, tmp_path / "run", TrainingOptions(epochs=1))


@pytest.mark.parametrize(
    ("other", "name"),
    [(TinyTask(text=2), "data"), (TinyTask(hidden=12), "model.hidden is 12 now and 10 there")],
)
def test_resume_refuses_another_configuration(tmp_path: Path, other: TinyTask, name: str) -> None:
    out = tmp_path / "run"
    fit(TinyTask(), out, TrainingOptions(epochs=1))
    config = (out / "config.yaml").read_bytes()
    with pytest.raises(CheckpointError, match=name):
        fit(other, out, TrainingOptions(epochs=2), resume=True)
    assert (out / "config.yaml").read_bytes() == config


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_fits_one_after_the_other_may_differ(tmp_path: Path, precision: Any) -> None:
    options = TrainingOptions(epochs=1, precision=precision, device="cpu", threads=1)
    threads = torch.get_num_threads()
    try:
        history = fit(TinyTask(), tmp_path / "run", options)
    finally:
        torch.set_num_threads(threads)
    assert history.ended == "epochs"


def test_a_run_is_not_overwritten_unasked(tmp_path: Path) -> None:
    out = tmp_path / "run"
    fit(TinyTask(), out, TrainingOptions(epochs=1))
    with pytest.raises(RunError, match=r"already holds a run.*--resume.*--overwrite"):
        fit(TinyTask(), out, TrainingOptions(epochs=1))
    history = fit(TinyTask(), out, TrainingOptions(epochs=2), overwrite=True)
    assert len(history.validation) == 2
    with pytest.raises(RunError, match="there is no run in"):
        fit(TinyTask(), tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


class _Poison(torch.autograd.Function):
    """Zero, with an infinite gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return torch.zeros_like(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0] * math.inf


class _Steps(Reporter):
    def __init__(self) -> None:
        self.steps: list[int] = []

    def stepped(self, progress: Any) -> None:
        self.steps.append(progress.step)

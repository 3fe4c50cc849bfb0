"""What papers found, seen again in small: chosen cells learn generated tasks in the order said."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from recurra.data.long_range import Adding, Batch, LongRangeTask, TimedSpikes, Wave
from recurra.nn import Recurrent

pytestmark = pytest.mark.slow
SEEDS = (0, 1, 2)


class Network(nn.Module):
    """A layer of a cell, and a head on each of its outputs."""

    def __init__(
        self, cell: str, task: LongRangeTask, units: int, init: Mapping[str, float]
    ) -> None:
        super().__init__()
        self.layer = Recurrent(cell, task.input_size, units, init=init)
        self.head = nn.Linear(units, task.output_size)

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.layer(batch.inputs)[0])


def trained(
    cell: str,
    task: LongRangeTask,
    seed: int,
    *,
    units: int,
    steps: int,
    rows: int,
    rate: float,
    init: Mapping[str, float] | None = None,
) -> Network:
    """A network after so many steps of Adam, on batches that are the same for every cell."""
    torch.manual_seed(seed)
    network = Network(cell, task, units, init or {})
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, rate)
    for batch in task.batches(rows, seed, steps):
        loss = task.loss(network(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    return network


@torch.no_grad()
def share_right(network: Network, task: LongRangeTask, rows: int = 512) -> float:
    """The share of fresh sequences that are right by the rule of the task's paper."""
    batch = next(task.batches(rows, seed=10_000))
    return float(task.correct(network(batch), batch).float().mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_lstm_adds_over_a_hundred_steps_and_elman_does_not(seed: int) -> None:
    """Hochreiter & Schmidhuber 1997, experiment 4, T = 100; gates start closed, as there.

    Who always answers 0.5 is right in 15 of 100 sequences.
    """
    task = Adding(100)
    settings = {"units": 8, "steps": 550, "rows": 32}
    closed = {"b_f": 5.0, "b_i": -3.0}
    lstm = trained("lstm", task, seed, rate=0.02, init=closed, **settings)
    assert share_right(lstm, task) > 0.75
    for rate in (0.02, 0.002):
        elman = trained("elman", task, seed, rate=rate, **settings)
        assert share_right(elman, task) < 0.3


def test_peepholes_help_in_timing() -> None:
    """Gers, Schraudolph & Schmidhuber 2002: streams of spikes 6 to 8 steps apart.

    Both learn it; after 200 steps the one with peepholes can, the other cannot yet.
    """
    task = TimedSpikes(distance=6, choices=3, steps=50)
    settings = {"units": 8, "steps": 200, "rows": 48, "rate": 0.02}
    share = {
        cell: [share_right(trained(cell, task, seed, **settings), task, 128) for seed in SEEDS]
        for cell in ("lstm_peephole", "lstm")
    }
    with_peepholes, without = share["lstm_peephole"], share["lstm"]
    assert all(a > b for a, b in zip(with_peepholes, without, strict=True)), share
    assert sum(with_peepholes) - sum(without) > 0.5 * len(SEEDS), share


@pytest.mark.parametrize("seed", SEEDS)
def test_clockwork_makes_a_wave_and_elman_does_not(seed: int) -> None:
    """Koutnik et al. 2014, section 4.1: 320 steps without input; nine modules of four units."""
    task = Wave(320, seed)
    batch = next(task.batches(2, seed))

    def error(cell: str, rate: float) -> float:
        network = trained(cell, task, seed, units=36, steps=300, rows=2, rate=rate)
        with torch.no_grad():
            return task.error(network(batch), batch)

    assert error("clockwork", 0.01) < 0.1
    for rate in (0.01, 0.03):
        assert error("elman", rate) > 0.5
